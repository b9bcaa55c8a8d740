"""Whether a faster decoder leaves an encoder's similarities as they are: looked at on the first JPEGs of each shard."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from indexes.errors import DataError
from pipeline.embedding.batches import Embedded
from pipeline.embedding.encoder import Encoder

LOOKED_AT = 32
"""JPEGs that are decoded both ways, of the first images, of which `READ_AHEAD` are taken at most."""
READ_AHEAD = 128
MOST_CHANGE = 1e-3
_JPEG = b"\xff\xd8\xff"

Looked = Callable[[Sequence[Encoder], Sequence[tuple[str, bytes]]], Iterable[tuple[Embedded, ...]]]


def held_to_pillow(
    encoders: Sequence[Encoder], items: Iterable[tuple[str, bytes]], look: Looked
) -> Iterator[tuple[str, bytes]]:
    """Give the same images, having embedded the first JPEGs by each encoder's own decoder and by Pillow.

    Args:
        encoders: The encoders; those that decode by Pillow are not looked at.
        items: (key, content of the file).
        look: Embeds images by some encoders.

    Raises:
        DataError: If a similarity between two of these images, or of one with itself, changes by more than
            `MOST_CHANGE`.
    """
    following = iter(items)
    quick = [encoder for encoder in encoders if encoder.framing.decoder != "pillow"]
    if not quick:
        return following
    head = list(itertools.islice(following, READ_AHEAD))
    jpegs = [item for item in head if item[1].startswith(_JPEG)][:LOOKED_AT]
    for encoder in quick if jpegs else ():
        exact = replace(encoder, framing=replace(encoder.framing, decoder="pillow"))
        pairs = [pair for pair in look([encoder, exact], jpegs) if pair[1].vector is not None]
        change = largest_change(*(_stacked(which) for which in zip(*pairs, strict=True))) if pairs else 0.0
        if not change <= MOST_CHANGE:
            raise DataError(
                f"decoder: {encoder.framing.decoder} changes similarities of the encoder "
                f"{encoder.fingerprint['model']} by up to {change:.4f} on the {len(pairs)} JPEGs from "
                f"'{jpegs[0][0]}' on, which is more than {MOST_CHANGE}: take decoder out of the encoder, which is "
                "Pillow's then"
            )
    return itertools.chain(head, following)


def largest_change(found: NDArray[np.float64], expected: NDArray[np.float64]) -> float:
    """Say by how much a similarity to the expected vectors differs at most, themselves included; NaN for NaN.

    Args:
        found: `(n, d)` unit vectors.
        expected: `(n, d)` unit vectors of the same images.
    """
    return float(np.abs((found - expected) @ expected.T).max())


def _stacked(found: Sequence[Embedded]) -> NDArray[np.float64]:
    width = next(len(one.vector) for one in found if one.vector is not None)
    nothing = np.full(width, np.nan)
    return np.stack([nothing if one.vector is None else one.vector.astype(np.float64) for one in found])
