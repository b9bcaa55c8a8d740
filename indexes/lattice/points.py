"""Rows rounded to a lattice, with what the bound needs of each, and both sides of the tile."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from indexes.cpu.kernel import compiled
from indexes.cpu.primitives import CHUNK, widen
from indexes.cpu.processor import COLUMNS, FLOAT32, INT8, INT16, LANES, ROWS
from indexes.lattice import workroom
from indexes.lattice.choosing import Lattice
from indexes.lattice.register_tile import FLIP, pair_of
from indexes.queries import MAX_NORM, check_norms

EIGHTHS: Final = (1, 2, 3, 4, 6, 8)
"""After so many eighths of the columns a tile may be given up."""
_TYPES: Final[dict[int, Any]] = {FLOAT32: np.float32, INT16: np.int16, INT8: np.int8}


class Points(NamedTuple):
    """Rows on a lattice.

    Attributes:
        units: `(n, u)` int32, the row's numbers in units of four bytes.
        half: `(stages, n)` int32, half the sum of squares of the numbers of the first columns, rounded down.
        offset: `(stages, n)` int32, the tile's sum of those with zeros on its left: 128 times their sum in int8.
        norm: `(n,)` float64, square norm of the vector, to within `norm_slack` of itself.
        lost: `(n,)` float64, at least the norm of what was rounded off, in numbers.
        bits: `(m, padded width)` uint16, float16 vectors, of which these are some.
        which: `(n,)` int64, their places there.
    """

    units: NDArray[np.int32]
    half: NDArray[np.int32]
    offset: NDArray[np.int32]
    norm: NDArray[np.float64]
    lost: NDArray[np.float64]
    bits: NDArray[np.uint16]
    which: NDArray[np.int64]

    def some(self, rows: slice) -> Points:
        """Give some of the rows."""
        return Points(
            self.units[rows],
            np.ascontiguousarray(self.half[:, rows]),
            np.ascontiguousarray(self.offset[:, rows]),
            self.norm[rows],
            self.lost[rows],
            self.bits,
            self.which[rows],
        )


def stages(units: int) -> NDArray[np.int64]:
    """List `(stages,)` units of the first columns after which a tile may be given up; the last are all."""
    return np.array([-(-units * part // (8 * LANES)) * LANES for part in EIGHTHS], np.int64)


def norm_slack(width: int) -> float:
    """Bound the relative error of a sum of `width` squares of float32, in any order."""
    return (width + CHUNK) * 2.0**-23


def place(bits: NDArray[np.uint16], which: NDArray[np.int64], lattice: Lattice, use: str = "") -> Points:
    """Round some rows to a lattice.

    Args:
        bits: `(n, padded width)` uint16, float16 vectors.
        which: `(m,)` int64, the rows to take, in their order.
        lattice: What they are rounded to.
        use: For what the thread places them, until it places others for the same; empty to keep them (`workroom`).

    Raises:
        DataError: If a row is not finite or too long.
    """
    rows = len(which)
    numbers = workroom.array(use, (rows, len(lattice.centre)), _TYPES[lattice.form])
    units = numbers.view(np.int32)
    half, offset = np.empty((2, len(EIGHTHS), rows), np.int32)
    norm, lost = np.empty((2, rows))
    source = (bits.ctypes.data, bits.shape[1])
    _place(source, which, lattice.order, lattice.centre, (lattice.scale, lattice.most), numbers, norm, lost)
    if not (norm < MAX_NORM * MAX_NORM).all():
        check_norms(bits[which].view(np.float16), "sample")
    _squares(units, lattice.form, stages(units.shape[1]), half, offset)
    return Points(units, half, offset, norm, lost, bits, which)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
def _place(
    source: tuple[int, int],
    which: NDArray[np.int64],
    order: NDArray[np.uint32],
    centre: NDArray[np.float32],
    steps: tuple[float, float],
    numbers: NDArray[Any],
    norm: NDArray[np.float64],
    lost: NDArray[np.float64],
) -> None:  # pragma: no cover - runs as machine code
    """Round rows, and sum the squares of each and of what was lost.

    `source` is the address of the vectors and their padded width, `steps` the lattice's scale and largest number.

    What is computed of an element differs from (x − c) · scale by two roundings, 2^-23 of itself, and the sum of the
    squares that were lost by less than 2^-8 of itself up to a width of 2^14 (and d · 2^-22 beyond): `lost` has room
    for both.
    """
    (address, width), places = source, centre.shape[0]
    scale, most = np.float32(steps[0]), np.float32(steps[1])
    wide, near, moved = (
        np.zeros(places + CHUNK, np.float32),
        np.empty(places, np.float32),
        np.empty(places, np.float32),
    )
    start, target = np.int64(address), np.int64(wide.ctypes.data)
    loose = np.sqrt(1.0 + max(2.0**-8, places * 2.0**-22))
    for row in range(which.shape[0]):
        widen(start + 2 * width * which[row], target, np.int64(width // CHUNK))
        square, kept, away = np.float32(0), np.float32(0), np.float32(0)
        for i in range(width):
            square += wide[i] * wide[i]
        if order.shape[0]:
            for i in range(places):
                moved[i] = (wide[order[i]] - centre[i]) * scale
        else:
            for i in range(places):
                moved[i] = (wide[i] - centre[i]) * scale
        for i in range(places):
            near[i] = np.rint(min(max(moved[i], -most), most))
        for i in range(places):
            left = moved[i] - near[i]
            away += left * left
            kept += near[i] * near[i]
        out = numbers[row]
        for i in range(places):
            out[i] = near[i]
        norm[row] = square
        gone = np.sqrt(np.float64(away)) * loose
        lost[row] = gone + 2.0**-21 * (np.sqrt(np.float64(kept)) + gone)


@compiled
def _squares(
    units: NDArray[np.int32],
    form: int,
    edges: NDArray[np.int64],
    half: NDArray[np.int32],
    offset: NDArray[np.int32],
) -> None:  # pragma: no cover - runs as machine code
    """Take each row's product with itself and with zeros, over the first columns."""
    nothing = np.zeros(units.shape[1], np.int32)
    zero, start, stride = np.int64(nothing.ctypes.data), np.int64(units.ctypes.data), 4 * units.shape[1]
    for row in range(units.shape[0]):
        at, squares, flipped, first = start + stride * row, np.int64(0), np.int64(0), np.int64(0)
        for stage in range(edges.shape[0]):
            more, here = edges[stage] - first, at + 4 * first
            if more:
                beside = pair_of(form, zero, here, more)
                squares, flipped = squares + pair_of(form, here, here, more) - beside, flipped + beside
            first = edges[stage]
            half[stage, row], offset[stage, row] = squares >> 1, flipped


def row_panels(points: Points, form: int) -> NDArray[np.int32]:
    """Lay rows out for the tile's left side, `(m, u, ROWS)`; missing rows of the last panel hold zeros."""
    return _laid("rows", points.units, ROWS, FLIP if form == INT8 else 0)


def column_panels(points: Points, use: str) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Lay rows out for the tile's right side, `(p, u, COLUMNS)`, with `(stages, p * COLUMNS)` levels.

    A level is half of the squares, and what flipped bits on the left side add to each sum.
    """
    panels = _laid(use, points.units, COLUMNS, 0)
    level = np.zeros((len(EIGHTHS), len(panels) * COLUMNS), np.int32)
    level[:, : len(points.units)] = points.half + points.offset
    return panels, level


def _laid(use: str, units: NDArray[np.int32], lanes: int, flip: int) -> NDArray[np.int32]:
    count, width = units.shape
    out = workroom.array(use, (-(-count // lanes), width, lanes), np.int32)
    if count % lanes:
        out[-1] = 0
    _lay(units, flip, out)
    return out


@compiled
def _lay(
    units: NDArray[np.int32], flip: int, out: NDArray[np.int32]
) -> None:  # pragma: no cover - runs as machine code
    lanes, rows = out.shape[2], units.shape[0]
    for panel in range(out.shape[0]):
        here, first = out[panel], panel * lanes
        for lane in range(min(lanes, rows - first)):
            row = units[first + lane]
            for i in range(row.shape[0]):
                here[i, lane] = row[i] ^ np.int32(flip)
