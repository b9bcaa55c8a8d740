"""Which uids are in a split: binary search in its sorted `uids.npy`."""

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
    first, last = np.zeros(len(uids), np.int64), np.full(len(uids), len(high))
    for _ in range(len(high).bit_length()):
        # Both halves at every step: a pool that numbers its samples has one high half for all of them.
        waiting = np.flatnonzero(first < last)
        middle = (first[waiting] + last[waiting]) // 2
        wanted, own = uids[waiting, 0], high[middle]
        below = (own < wanted) | ((own == wanted) & (low[middle] < uids[waiting, 1]))
        first[waiting[below]] = middle[below] + 1
        last[waiting[~below]] = middle[~below]
    inside = np.flatnonzero(first < len(high))
    found = np.zeros(len(uids), dtype=bool)
    place = first[inside]
    found[inside] = (high[place] == uids[inside, 0]) & (low[place] == uids[inside, 1])
    return found
