"""The nearest samples of each sample of a draw, exactly: every pair is compared."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BLOCK = 512
"""Rows that are compared with all at a time: 200 MB where all are 100,000."""


def nearest_samples(vectors: NDArray[np.float16], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Find the `k` nearest samples of each, itself first.

    Args:
        vectors: `(n, d)` canonical vectors.
        k: At most n.

    Returns:
        `(n, k)` rows, nearest first, ties by row; and their distances, 1 - cosine, 0 for the sample itself.
    """
    every = vectors.astype(np.float32)
    rows = np.empty((len(every), k), np.int64)
    distances = np.empty((len(every), k), np.float32)
    for start in range(0, len(every), _BLOCK):
        own = np.arange(start, min(start + _BLOCK, len(every)))
        found = every[own] @ every.T
        found[np.arange(len(own)), own] = np.inf
        rows[own], distances[own] = _highest(found, k)
    return rows, distances


def _highest(similarity: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    chosen = np.argpartition(-similarity, k - 1, axis=1)[:, :k]
    held = np.take_along_axis(similarity, chosen, axis=1)
    order = np.lexsort((chosen, -held), axis=1)
    held = np.take_along_axis(held, order, axis=1)
    # A sample is infinitely near to itself, and vectors of 16 bits are not quite of unit norm.
    return np.take_along_axis(chosen, order, axis=1), np.clip(1 - held, 0, 2)
