"""All products of some rows with one another, screened: half of them is multiplied, and written to both places."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from indexes.bound import error_bound
from indexes.cpu.kernel import compiled, tile_of
from indexes.cpu.packing import Sizes, pack, units_of
from indexes.cpu.processor import COLUMNS, FLOAT32, NARROW, ROWS
from indexes.lattice import workroom
from indexes.queries import check_norms

_BLOCK: Final = 16


def square(
    bits: NDArray[np.uint16], which: NDArray[np.int64], width: int, narrow: bool
) -> tuple[NDArray[np.float32], float]:
    """Multiply rows with one another.

    Args:
        bits: `(n, padded width)` uint16, float16 vectors.
        which: `(m,)` the rows to take.
        width: Columns of an embedding.
        narrow: Whether to multiply in the processor's fastest numbers.

    Returns:
        `(m, m)` float32 products, valid until the thread asks for others; and the most that one is off
        (`indexes.bound`).

    Raises:
        DataError: If a row is not finite or too long.
    """
    count, form = len(which), NARROW if narrow else FLOAT32
    units, rows = units_of(width, form), which.astype(np.int32)
    left = workroom.array("left of a square", (-(-count // ROWS), units, ROWS), np.int32)
    right = workroom.array("right of a square", (-(-count // COLUMNS), units, COLUMNS), np.int32)
    sizes = Sizes(*pack(bits, rows, form, left))
    if sizes.bad >= 0:
        check_norms(bits[which].view(np.float16), "sample")
    pack(bits, rows, form, right)
    out = workroom.array("square", (count, count), np.float32)
    tile = workroom.array("tile of a square", (ROWS, COLUMNS), np.float32)
    # Below no cut, at no level, and far below every floor: each tile is stored.
    compared = np.concatenate([np.full(2 * ROWS, -np.inf), np.zeros(COLUMNS), np.full(COLUMNS, np.inf)])
    _fill(left, right, form, compared.astype(np.float32), 1 / sizes.scale**2, tile, out)
    return out, error_bound(sizes, sizes, width, 0.0)


@compiled
def _fill(
    left: NDArray[np.int32],
    right: NDArray[np.int32],
    form: int,
    compared: NDArray[np.float32],
    scale: float,
    tile: NDArray[Any],
    out: NDArray[np.float32],
) -> None:  # pragma: no cover - machine code
    count, units = out.shape[0], np.int64(left.shape[1])
    cuts, place = np.int64(compared.ctypes.data), np.int64(tile.ctypes.data)
    addresses = (cuts, cuts + 8 * ROWS, cuts + 8 * ROWS + 4 * COLUMNS)
    numbers = (np.float32(0), np.float32(scale))
    for panel in range(right.shape[0]):
        first = panel * COLUMNS
        b, columns = np.int64(right[panel:].ctypes.data), min(COLUMNS, count - first)
        for micro in range(first // ROWS, left.shape[0]):
            sides = (np.int64(left[micro:].ctypes.data), b, units)
            tile_of(form, sides, addresses, place, numbers)
            for lane in range(min(ROWS, count - micro * ROWS)):
                row = micro * ROWS + lane
                for column in range(columns):
                    out[row, first + column] = tile[lane, column]
    # Block by block, since a column of a large square is one cache line a number.
    for low in range(0, count, _BLOCK):
        for left_of in range(0, low + 1, _BLOCK):
            for row in range(low, min(low + _BLOCK, count)):
                for column in range(left_of, min(left_of + _BLOCK, row)):
                    out[column, row] = out[row, column]
