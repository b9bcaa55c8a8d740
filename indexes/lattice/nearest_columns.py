"""Rows and columns on one lattice, and each row's best column, block by block over threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from indexes.cpu.processor import COLUMNS, ROWS
from indexes.lattice import workroom
from indexes.lattice.best_column import best_columns
from indexes.lattice.choosing import Lattice
from indexes.lattice.laid import KNOWN, NO_COLUMN, Laid, Room, Scoring
from indexes.lattice.points import Points, column_panels, norm_slack, row_panels, stages
from indexes.lattice.reach import Reach

_BLOCK: Final = 1 << 19
"""Bytes of the rows that pass a panel; half of a second-level cache of 1 MB."""


class LaidColumns(NamedTuple):
    """Columns that rows are compared with.

    Attributes:
        points: The columns; machine code knows their vectors by address, and here they are kept for it.
        lattice: What they are rounded to, and the rows too.
        laid: The columns.
        scoring: What their scores are.
        bounds: What bounds their distances.
    """

    points: Points
    lattice: Lattice
    laid: Laid
    scoring: Scoring
    bounds: Reach


class BestColumns(NamedTuple):
    """Each row's best column.

    Attributes:
        score: `(n,)` float64, exact; -inf where no column reaches what was asked.
        column: `(n,)` int32; -1 there.
        units: How many units of four bytes the tiles multiplied.
    """

    score: NDArray[np.float64]
    column: NDArray[np.int32]
    units: int


def laid_columns(
    points: Points,
    lattice: Lattice,
    rank: NDArray[np.int64],
    off: NDArray[np.float64] | None = None,
    use: str = "",
) -> LaidColumns:
    """Lay columns out.

    Args:
        points: The columns, at least one, on the lattice.
        lattice: It.
        rank: `(n,)` of equal scores the column of the lower rank is the best.
        off: `(n,)` what is taken off a column's products; None for nothing.
        use: For what the thread lays columns out, until it lays others out for the same; empty to keep them.
    """
    panels, level = column_panels(points, use)
    slack = norm_slack(points.bits.shape[1])
    spare = points.norm * (1 + slack) if off is None else points.norm * (1 + slack) - 2 * off
    bounds = Reach(lattice.scale, float(points.lost.max()), float(spare.max()) + 2.0**-40, slack)
    laid = _laid(points, panels, level)
    return LaidColumns(points, lattice, laid, Scoring(np.empty(0) if off is None else off, rank), bounds)


def _laid(points: Points, panels: NDArray[np.int32], level: NDArray[np.int32]) -> Laid:
    vectors, width = points.bits.ctypes.data, points.bits.shape[1]
    return Laid(panels, level, points.units, vectors, width, points.which, points.norm, points.lost)


def best_of(
    columns: LaidColumns,
    rows: Callable[[slice], Points],
    start: int,
    least: NDArray[np.float64],
    threads: int = 1,
    guess: NDArray[np.int32] | None = None,
    most: int = 1 << 30,
) -> BestColumns:
    """Find each row's best column among those before it.

    Args:
        columns: The columns.
        rows: Gives some of the rows, on the columns' lattice; called by the threads.
        start: Row r has the first `start` + r columns before it; with as many as there are, all.
        least: `(n,)` what a column must score to be looked for, itself included; -inf for anything.
        threads: Blocks in work at once; they change no result.
        guess: `(n,)` a column of each row that is likely to score high, which spares work, or -1.
        most: Rows of a block.
    """
    count, units = len(least), columns.points.units.shape[1]
    step = ROWS * max(1, min(_BLOCK // (4 * units * ROWS), -(-count // (ROWS * threads)), most // ROWS))
    begin = np.full(count, NO_COLUMN) if guess is None else guess
    score, column = np.empty(count), np.empty(count, np.int32)

    def one(low: int) -> int:
        these = slice(low, min(low + step, count))
        block = rows(these)
        panels = row_panels(block, columns.lattice.form)
        laid = _laid(block, panels, block.half)
        room = Room(
            workroom.array("tile", (32 + ROWS * COLUMNS,), np.int32),
            workroom.array("cut", (len(panels) * ROWS,), np.int32),
            workroom.array("known", (len(block.which),), KNOWN),
        )
        asked = (stages(units), columns.lattice.form, start + low, least[these], begin[these])
        spent = best_columns(laid, columns.laid, columns.scoring, columns.bounds, room, *asked)
        score[these], column[these] = room.known["best"], room.known["column"]
        return int(spent)

    starts = range(0, count, step)
    if threads == 1 or len(starts) == 1:
        return BestColumns(score, column, sum(one(low) for low in starts))
    with ThreadPoolExecutor(threads, "nearfar-lattice") as pool:
        # Where later rows have more before them, they are begun first, so that all threads end together.
        return BestColumns(score, column, sum(pool.map(one, reversed(starts))))
