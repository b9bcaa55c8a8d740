"""What batches of images and of captions share: their sizes, and vectors in the form in which they are kept."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from indexes.canonical import REASONS, ZERO_NORM, canonical
from indexes.errors import BadInputError

Item = TypeVar("Item")
Turn: TypeAlias = AbstractContextManager[object]
"""The turn to take at a device, of which only one batch at a time has the memory; a processor asks for none."""


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """What became of one image or caption: its vector, or the reason why it has none.

    Attributes:
        key: The image's key, as it came; a caption's number in its list.
        vector: `(d,)` float16 of unit norm, or None.
        reason: None, or why there is no vector: what `decode` said, that the decoder crashed or took too long,
            "no caption", "nan", "infinite" or "zero".
    """

    key: str
    vector: NDArray[np.float16] | None
    reason: str | None


def checked_sizes(batch_size: int, threads: int | None) -> int:
    """Say how many threads there are: `threads`, or one for each core of this process.

    Raises:
        BadInputError: If `batch_size` or `threads` is below 1.
    """
    workers = len(os.sched_getaffinity(0)) if threads is None else threads
    if batch_size < 1 or workers < 1:
        raise BadInputError(f"batch_size and threads must be at least 1; got {batch_size} and {workers}")
    return workers


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Take `size` items at a time; the last batch may have fewer."""
    following = iter(items)
    while batch := list(itertools.islice(following, size)):
        yield batch


def finished(keys: list[str], reasons: list[str | None], vectors: NDArray[np.float32]) -> list[Embedded]:
    """Bring vectors into the canonical form and say why some are none; the batch may have rows behind the keys."""
    units = canonical(_normalised(vectors))
    healthy = iter(units.vectors)
    found = [next(healthy) if good else None for good in units.healthy[: len(keys)]]
    told = [reason or REASONS[code] or None for reason, code in zip(reasons, units.reasons, strict=False)]
    return [
        Embedded(key, None if reason else vector, reason)
        for key, vector, reason in zip(keys, found, told, strict=True)
    ]


def _normalised(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Divide by the norm; rows without a direction stay as they are, for `canonical` to name."""
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    usable = np.isfinite(norms) & (norms >= ZERO_NORM)
    return (vectors / np.where(usable, norms, 1.0)).astype(np.float32)
