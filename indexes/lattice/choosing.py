"""How rows are rounded to whole numbers: a lattice, taken from some of them.

A lattice has a centre c, an order of the columns and a scale: row x becomes u = round((x − c) · scale), number by
number, cut off at the largest number that its form may hold. Any lattice gives the same answers
(`indexes.lattice.reach`); this one rounds little off, and its first columns tell most. For distances the centre cancels
out, and small numbers round finer than large ones.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from indexes.cpu.primitives import CHUNK, widen
from indexes.cpu.processor import FLOAT32, INT8, INT16, LANES, WHOLE

_IN_UNIT: Final[dict[int, int]] = {FLOAT32: 1, INT16: 2, INT8: 4}
_WIDEST: Final = 1 << 16
"""Columns up to which the sums of int8 fit an int32."""
_SEEN: Final = 64
_MEASURED: Final = 4096
"""Rows that the centre and the order of a lattice are taken from, and those that its scale is."""
_UNEVEN: Final = 0.6
"""Columns are put in order where half of them hold more than this share of all spread: gathering costs time."""


class Lattice(NamedTuple):
    """How rows become whole numbers.

    Attributes:
        order: `(m,)` uint32 column of the vectors at each place, or m where there is none; empty for their own order.
        centre: `(m,)` float32 in that order.
        scale: Numbers to one.
        most: Largest number, so that a row's squares sum up to less than 2^30 as integers and 2^23 as float32. Then
            no sum of products and levels rounds.
        form: What the tile multiplies.
    """

    order: NDArray[np.uint32]
    centre: NDArray[np.float32]
    scale: float
    most: float
    form: int


def lattice_of(bits: NDArray[np.uint16], which: NDArray[np.int64], narrow: bool = True) -> Lattice:
    """Take a lattice from some rows; any other gives the same answers.

    Args:
        bits: `(n, padded width)` uint16, float16 vectors.
        which: `(m,)` int64, the rows to look at, at least one.
        narrow: Whether numbers may be those that the processor multiplies fastest.
    """
    width = bits.shape[1]
    form = WHOLE if narrow and width <= _WIDEST else FLOAT32
    places = -(-width // (_IN_UNIT[form] * LANES)) * _IN_UNIT[form] * LANES
    seen, measured = (np.ascontiguousarray(which[:: -(-len(which) // most)]) for most in (_SEEN, _MEASURED))
    centre, spread = _survey(bits.ctypes.data, width, seen)
    largest = _largest(bits.ctypes.data, measured, centre)
    order, middle = np.empty(0, np.uint32), np.zeros(places, np.float32)
    middle[:width] = centre
    by_spread = np.argsort(-spread, kind="stable")
    if spread[by_spread[: width // 2]].sum() > _UNEVEN * spread.sum():
        order = np.full(places, places, np.uint32)
        order[:width], middle[:width] = by_spread, centre[by_spread]
    limit = {INT8: 127.0, INT16: 2.0**15 / np.sqrt(places), FLOAT32: 2.0**11.5 / np.sqrt(places)}[form]
    most = max(1.0, float(np.floor(limit)))
    # The rows are rounded in float32, so the scale is a float32 too.
    return Lattice(order, middle, float(np.float32(most / max(largest, 1e-6))), most, form)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})
def _survey(
    address: int, width: int, which: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:  # pragma: no cover - runs as machine code
    """Mean and spread of each column."""
    rows = which.shape[0]
    wide, centre, spread = (
        np.empty(width, np.float32),
        np.zeros(width, np.float32),
        np.zeros(width, np.float32),
    )
    start, target = np.int64(address), np.int64(wide.ctypes.data)
    for row in range(rows):
        widen(start + 2 * width * which[row], target, np.int64(width // CHUNK))
        for i in range(width):
            centre[i] += wide[i]
    centre /= np.float32(rows)
    for row in range(rows):
        widen(start + 2 * width * which[row], target, np.int64(width // CHUNK))
        for i in range(width):
            away = wide[i] - centre[i]
            spread[i] += away * away
    return centre, spread


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nnan", "nsz"})
def _largest(
    address: int, which: NDArray[np.int64], centre: NDArray[np.float32]
) -> float:  # pragma: no cover - runs as machine code
    """The largest element of some rows, away from the centre."""
    width = centre.shape[0]
    wide, largest = np.empty(width, np.float32), np.zeros(width, np.float32)
    start, target = np.int64(address), np.int64(wide.ctypes.data)
    for row in range(which.shape[0]):
        widen(start + 2 * width * which[row], target, np.int64(width // CHUNK))
        for i in range(width):
            largest[i] = max(largest[i], abs(wide[i] - centre[i]))
    return float(largest.max())
