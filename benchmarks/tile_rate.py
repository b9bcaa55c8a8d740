"""How fast the tile of whole numbers multiplies, with nothing around it: the floor of dedup, thinning and k-means."""

from __future__ import annotations

import time

import numpy as np
from numba import njit

from indexes.cpu.processor import COLUMNS, FLOAT32, INT8, INT16, ROWS, WHOLE
from indexes.lattice import workroom
from indexes.lattice.register_tile import tile_of

PANELS = 64
"""Panels of rows in turn: 256 KB, as a block passes a panel of columns."""
_NUMBERS = {FLOAT32: 1, INT16: 2, INT8: 4}
"""Numbers in a unit of four bytes."""
FORMS = {FLOAT32: "float32", INT16: "int16", INT8: "int8"}


@njit
def _many(form: int, left: int, right: int, units: int, cuts: int, out: int, turns: int) -> int:
    found = 0
    for turn in range(turns):
        sides = (np.int64(left + 4 * ROWS * units * (turn % PANELS)), np.int64(right), np.int64(units))
        found |= tile_of(form, sides, np.int64(cuts), np.int64(cuts + 4 * ROWS), np.int64(out))
    return found


def tile_rate(width: int) -> float:
    """Products and sums of one thread in 10⁹ a second, the best of some tries; `width` is a multiple of 64."""
    units = width // _NUMBERS[WHOLE]
    left = workroom.array("", (PANELS, units, ROWS), np.int32)
    right = workroom.array("", (units, COLUMNS), np.int32)
    cuts, out = np.zeros(ROWS + COLUMNS, np.int32), workroom.array("", (32 + ROWS * COLUMNS,), np.int32)
    left[:], right[:], cuts[:ROWS] = 0, 0, 2**31 - 1
    addresses = (left.ctypes.data, right.ctypes.data, units, cuts.ctypes.data, out.ctypes.data)
    turns, spent = 20_000, []
    _many(WHOLE, *addresses, 1)
    for _ in range(8):
        before = time.process_time()
        _many(WHOLE, *addresses, turns)
        spent.append(time.process_time() - before)
    return 2e-9 * turns * ROWS * COLUMNS * width / min(spent)
