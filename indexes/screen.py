"""The fused pass of the CPU engine: tiles against what is known, exact products for whatever may matter.

Compiled functions take arrays and plain numbers one by one: a tuple of arrays costs 0.4 µs per call to hand over,
which is as much as a tile.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.blocks import KEPT, NO_QUERY, Block, Exact, Found, Work
from indexes.kernel import (
    COLUMN_BIT,
    COLUMNS,
    MARGIN_BIT,
    ROWS,
    compiled,
    inlined,
    tile_bfloat16,
    tile_float32,
)
from indexes.packing import Held
from indexes.primitives import exact_product, prefetch


@inlined
def similarity(exact: Exact, row: int, query: int) -> float:  # pragma: no cover - machine code
    """Exact similarity of a pair; adding zero makes -0.0 and 0.0 the same bits."""
    left, right = exact.samples + row * exact.stride, exact.queries + query * exact.stride
    return float(exact_product(np.int64(left), np.int64(right), np.int64(exact.chunks)) + 0.0)


@inlined
def _resolve(
    exact: Exact,
    column: NDArray[np.int32],
    thresholds: NDArray[np.float64],
    rows: NDArray[Any],
    cut: NDArray[np.float32],
    place: tuple[int, int, int],
) -> None:  # pragma: no cover - machine code
    """Compute a row's waiting candidates exactly, the most promising first, and raise its cut."""
    panel, kind, lane = place
    known = rows[kind, panel * ROWS + lane]
    promising = 0
    for turn in range(1, known.count):
        if known.score[turn] > known.score[promising]:
            promising = turn
    for turn in range(known.count):
        pick = promising if turn == 0 else (0 if turn == promising else turn)
        if known.score[pick] < cut[panel, kind, lane]:
            continue
        query = column[known.column[pick]]
        value = similarity(exact, panel * ROWS + lane, query)
        if kind == 1:
            value -= thresholds[query]
        if value > known.best or (value == known.best and query < known.query):
            known.best = value
            known.query = query
            cut[panel, kind, lane] = max(cut[panel, kind, lane], np.float32(value - exact.error))
    known.count = 0


@inlined
def _note_row(
    tile: NDArray[np.float32],
    level: NDArray[np.float32],
    rows: NDArray[Any],
    cut: NDArray[np.float32],
    place: tuple[int, int, int, int],
    error: float,
) -> int:  # pragma: no cover - machine code
    """Note a row's candidates from column `place[3]` of the tile on.

    Returns:
        The column to go on with once the waiting candidates are resolved; `COLUMNS` when all are noted.
    """
    panel, kind, lane, first = place
    scores, known = tile[lane], rows[kind, panel * ROWS + lane]
    top = known.top
    for column in range(COLUMNS):
        score = scores[column] - level[column] if kind == 1 else scores[column]
        top = score if score > top else top
    known.top = top
    limit = max(cut[panel, kind, lane], np.float32(top - 2 * error))
    cut[panel, kind, lane] = limit
    count = known.count
    for column in range(first % COLUMNS, COLUMNS):
        score = scores[column] - level[column] if kind == 1 else scores[column]
        if score >= limit:
            if count == KEPT:
                known.count = count
                return column
            known.column[count] = first - first % COLUMNS + column
            known.score[count] = score
            count += 1
    known.count = count
    return COLUMNS


@inlined
def _note_columns(
    tile: NDArray[np.float32],
    floor: NDArray[np.float32],
    offers: NDArray[Any],
    place: tuple[int, int, int],
    count: int,
    error: float,
) -> int:  # pragma: no cover - machine code
    """Note pairs of the tile that may be among a query's nearest; gives the number of offers."""
    row, lanes, first = place
    for lane in range(lanes):
        for column in range(COLUMNS):
            if tile[lane, column] >= floor[column] - np.float32(error):
                offer = offers[count]
                offer.row = row + lane
                offer.column = first + column
                offer.score = tile[lane, column]
                count += 1
    return count


@compiled
def _begin(
    rows: NDArray[Any], cut: NDArray[np.float32], work: Work
) -> None:  # pragma: no cover - machine code
    """Forget what was known: a new segment begins."""
    cut[:] = np.inf
    for kind in range(1 + work.margins):
        for row in range(work.rows):
            known = rows[kind, row]
            known.top, known.best, known.query, known.count = -np.inf, -np.inf, NO_QUERY, 0
            cut[row // ROWS, kind, row % ROWS] = -np.inf


@inlined
def _finish(
    held: Held, exact: Exact, block: Block, work: Work, found: Found, segment: int
) -> None:  # pragma: no cover - machine code
    """Resolve all rows and write the segment's exact maxima."""
    for kind in range(1 + work.margins):
        for row in range(work.rows):
            place = (row // ROWS, kind, row % ROWS)
            _resolve(exact, held.column, held.thresholds, block.rows, block.cut, place)
            found.value[kind, row, segment] = block.rows[kind, row].best
            found.query[kind, row, segment] = block.rows[kind, row].query


@inlined
def _sweep(
    held: Held, exact: Exact, block: Block, work: Work, queries: int, count: int
) -> int:  # pragma: no cover - machine code
    """Take one panel of queries past all samples of the block; gives the number of offers."""
    columns, thresholds, first = held.column, held.thresholds, queries * COLUMNS
    level, floor = held.level[first : first + COLUMNS], held.floor[first : first + COLUMNS]
    cut, rows, tile, offers = block.cut, block.rows, block.tile, block.offers
    units, micro = np.int64(held.panels.shape[1]), -(-work.rows // ROWS)
    lines, error, out = units * COLUMNS // 16, np.float32(work.error), np.int64(tile.ctypes.data)
    right, left = np.int64(held.panels[queries:].ctypes.data), np.int64(block.panels.ctypes.data)
    at_cut, at_level = np.int64(cut.ctypes.data), np.int64(level.ctypes.data)
    at_floor = np.int64(floor.ctypes.data)
    for panel in range(micro):
        for line in range(panel * lines // micro, (panel + 1) * lines // micro):
            prefetch(right + 64 * (lines + line))
        a, at = left + 4 * ROWS * units * panel, at_cut + 8 * ROWS * panel
        if work.bfloat16:
            hits = tile_bfloat16(a, right, units, at, at_level, at_floor, out, error)
        else:
            hits = tile_float32(a, right, units, at, at_level, at_floor, out, error)
        if hits >> COLUMN_BIT:
            place = (panel * ROWS, min(ROWS, work.rows - panel * ROWS), first)
            count = _note_columns(tile, floor, offers, place, count, work.error)
        for kind in range(2):
            bits = hits >> (MARGIN_BIT * kind) & (2**ROWS - 1)
            for lane in range(ROWS if bits else 0):
                column = 0 if bits >> lane & 1 else COLUMNS
                while column < COLUMNS:
                    column = _note_row(
                        tile, level, rows, cut, (panel, kind, lane, first + column), work.error
                    )
                    if column < COLUMNS:
                        _resolve(exact, columns, thresholds, rows, cut, (panel, kind, lane))
    return count


@compiled
def screen(
    held: Held, exact: Exact, block: Block, work: Work, found: Found
) -> tuple[int, int]:  # pragma: no cover - machine code
    """Screen a block against the panels of its range until the range or the room for offers ends.

    Returns:
        The panel to go on with (the end of the range when done), and how many offers are waiting.
    """
    segments, count = held.segment, 0
    room = block.offers.shape[0] - -(-work.rows // ROWS) * ROWS * COLUMNS
    for queries in range(work.first, work.last):
        if queries == work.start or segments[queries - 1] != segments[queries]:
            _begin(block.rows, block.cut, work)
        count = _sweep(held, exact, block, work, queries, count)
        if queries + 1 == work.last or segments[queries + 1] != segments[queries]:
            _finish(held, exact, block, work, found, segments[queries])
        if count > room:
            return queries + 1, count
    return work.last, count
