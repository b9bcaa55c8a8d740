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
    high, low = np.asarray(subset["f0"]), np.asarray(subset["f1"])
    return _there(high, low, uids, _places(high, low, uids)[0])


def times_of(subset: NDArray[Any], uids: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Count how often each uid stands in a sorted subset, of the form that `is_member` takes."""
    first, last = _places(np.asarray(subset["f0"]), np.asarray(subset["f1"]), uids, ends=True)
    return last - first


def _places(
    high: NDArray[np.uint64], low: NDArray[np.uint64], uids: NDArray[np.uint64], ends: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find where each uid's entries begin, and where they end if asked: the entries below it, or not above it."""
    first, last = (np.searchsorted(high, uids[:, 0], side) for side in ("left", "right"))
    begin = _within(first, last, low, uids[:, 1], after=False)
    return begin, _within(begin, last, low, uids[:, 1], after=True) if ends else begin


def _within(
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    low: NDArray[np.uint64],
    wanted: NDArray[np.uint64],
    after: bool,
) -> NDArray[np.int64]:
    """Find each uid's place among entries `[first, last)`, which have its high half.

    Hashes share it with nobody, so that one step does; in a pool that numbers its samples all share one.
    """
    first, last = first.copy(), last.copy()
    while len(waiting := np.flatnonzero(first < last)):
        middle = (first[waiting] + last[waiting]) // 2
        within, there = wanted[waiting], low[middle]
        below = (there <= within) if after else (there < within)
        first[waiting[below]] = middle[below] + 1
        last[waiting[~below]] = middle[~below]
    return first


def _there(
    high: NDArray[np.uint64], low: NDArray[np.uint64], uids: NDArray[np.uint64], place: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Say which uids stand at their places."""
    inside = np.flatnonzero(place < len(high))
    found = np.zeros(len(uids), dtype=bool)
    found[inside] = (high[place[inside]] == uids[inside, 0]) & (low[place[inside]] == uids[inside, 1])
    return found
