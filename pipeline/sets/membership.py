"""Which uids are in a split, and how often: binary search in its sorted `uids.npy`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def is_member(subset: NDArray[Any], uids: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Say which uids are in a sorted subset.

    Args:
        subset: `(m,)` of dtype `u8,u8`, sorted: DataComp's subset format.
        uids: `(n, 2)` high and low halves.

    Returns:
        `(n,)`, True where the uid is in the subset.
    """
    return times_of(subset, uids) > 0


def times_of(subset: NDArray[Any], uids: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Count how often each uid stands in a sorted subset, of the form that `is_member` takes."""
    high, low = np.asarray(subset["f0"]), np.asarray(subset["f1"])
    return _place(high, low, uids, after=True) - _place(high, low, uids, after=False)


def _place(
    high: NDArray[np.uint64], low: NDArray[np.uint64], uids: NDArray[np.uint64], after: bool
) -> NDArray[np.int64]:
    """Find where each uid's entries begin, or end: how many entries are below it, or not above it."""
    first, last = np.zeros(len(uids), np.int64), np.full(len(uids), len(high))
    for _ in range(len(high).bit_length()):
        # Both halves at every step: a pool that numbers its samples has one high half for all of them.
        waiting = np.flatnonzero(first < last)
        middle = (first[waiting] + last[waiting]) // 2
        wanted, own = uids[waiting, 0], high[middle]
        within, there = uids[waiting, 1], low[middle]
        below = (own < wanted) | ((own == wanted) & ((there <= within) if after else (there < within)))
        first[waiting[below]] = middle[below] + 1
        last[waiting[~below]] = middle[~below]
    return first
