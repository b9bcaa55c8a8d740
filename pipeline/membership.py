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
    high, low = subset["f0"], subset["f1"]
    place = np.searchsorted(high, uids[:, 0])
    found = np.zeros(len(uids), dtype=bool)
    # High halves repeat about never, so this loop runs once or twice; it is right however often they do.
    active = np.flatnonzero(place < len(high))
    while len(active):
        active = active[high[place[active]] == uids[active, 0]]
        found[active] |= low[place[active]] == uids[active, 1]
        place[active] += 1
        active = active[place[active] < len(high)]
    return found
