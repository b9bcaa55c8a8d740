"""Which row takes which away, as fiftyone-brain's `compute_leaky_splits` does: greedy, over mean-centred embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1024
_SURE = 1e-9
"""What is nearer than this to the level is added up again in an order that no library chooses."""


def joins(vectors: NDArray[Any], distance: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Join each row that an earlier one takes away to the nearest row that is kept.

    In their order, a row that is still kept removes every later one whose cosine distance to it, of embeddings less
    their mean, is at most `distance`. A removed row joins the kept row that is nearest to it, wherever that stands.

    Args:
        vectors: `(n, d)` floats, in the order in which they are kept.
        distance: 0 to 2; 1 - cosine.

    Returns:
        `(n,)` the kept row that each joins, -1 for a kept one; and `(n,)` float64 its cosine to that, NaN for a kept
        one. Ties go to the earlier row. A row that is the mean itself has no direction: it is kept, and takes none.
    """
    wide = vectors.astype(np.float64)
    wide -= np.add.reduce(wide, axis=0) / max(1, len(wide))
    lengths = np.sqrt(np.add.reduce(wide * wide, axis=1))
    wide /= np.where(lengths > 0, lengths, 1.0)[:, None]
    kept = _kept(wide, 1 - distance)
    to, cosine = np.full(len(wide), -1, np.int64), np.full(len(wide), np.nan)
    stay, gone = np.flatnonzero(kept), np.flatnonzero(~kept)
    for start in range(0, len(gone), _BLOCK):
        rows = gone[start : start + _BLOCK]
        products = np.round(wide[rows] @ wide[stay].T, 12)
        best = products.argmax(axis=1)
        to[rows], cosine[rows] = stay[best], products[np.arange(len(rows)), best]
    return to, cosine


def _kept(wide: NDArray[np.float64], level: float) -> NDArray[np.bool_]:
    kept = np.ones(len(wide), bool)
    for start in range(0, len(wide), _BLOCK):
        block = wide[start : start + _BLOCK]
        here = np.arange(start, start + len(block))
        near = _reaches(block, block, level)
        for row in range(len(block)):
            if kept[here[row]]:
                kept[here[row + 1 :][near[row, row + 1 :]]] = False
        taking = np.flatnonzero(kept[here])
        for after in range(start + _BLOCK, len(wide), _BLOCK):
            rows = np.arange(after, min(after + _BLOCK, len(wide)))
            kept[rows] &= ~_reaches(wide[rows], block[taking], level).any(axis=1)
    return kept


def _reaches(left: NDArray[np.float64], right: NDArray[np.float64], level: float) -> NDArray[np.bool_]:
    """Say of each pair whether its product is at or above the level."""
    products = left @ right.T
    found = products >= level
    rows, others = np.nonzero(np.abs(products - level) < _SURE)
    found[rows, others] = np.add.reduce(left[rows] * right[others], axis=1) >= level
    return np.asarray(found)
