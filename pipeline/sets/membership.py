"""Which uids are in a split, and how often: binary search in its sorted `uids.npy`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_APART = 64
"""Entries from one that is looked at first to the next."""


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
    # Some entries say between which ones to look. Numbers below 2**64 all have the high half 0: then it is all of them.
    some = np.ascontiguousarray(high[::_APART])
    first = np.maximum(_APART * (np.searchsorted(some, uids[:, 0], "left") - 1) + 1, 0)
    last = np.minimum(_APART * np.searchsorted(some, uids[:, 0], "right"), len(high))
    begin = _between(first, last, high, low, uids, after=False)
    return begin, _between(begin, last, high, low, uids, after=True) if ends else begin


def _between(
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    high: NDArray[np.uint64],
    low: NDArray[np.uint64],
    uids: NDArray[np.uint64],
    after: bool,
) -> NDArray[np.int64]:
    """Count the entries below each uid, or not above it, which are at least `first` and at most `last`."""
    first, last = first.copy(), last.copy()
    while len(waiting := np.flatnonzero(first < last)):
        middle = (first[waiting] + last[waiting]) // 2
        wanted, own = uids[waiting, 0], high[middle]
        within, there = uids[waiting, 1], low[middle]
        below = (own < wanted) | ((own == wanted) & ((there <= within) if after else (there < within)))
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
