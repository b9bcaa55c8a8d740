"""The fused pass of the CPU engine: tiles against what is known, exact products for whatever may matter.

Compiled functions take arrays and plain numbers one by one: a tuple of arrays costs 0.4 µs per call to hand over,
which is as much as a tile.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

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

KEPT: Final = 32
"""Candidates that a row may collect before they are resolved."""

NO_QUERY: Final = np.int32(2**31 - 1)

ROW = np.dtype(
    [
        ("best", np.float64),
        ("query", np.int32),
        ("count", np.int32),
        ("top", np.float32),
        ("unused", np.float32),
        ("column", np.int32, (KEPT,)),
        ("score", np.float32, (KEPT,)),
    ]
)
"""What is known of a row in the segment at hand: the largest exact value and its packed query, the largest screened
score, and candidates that wait for their exact product."""

OFFER = np.dtype(
    [
        ("exact", np.float64),
        ("row", np.int32),
        ("column", np.int32),
        ("score", np.float32),
        ("unused", np.int32),
    ]
)
"""A pair that may be among its query's nearest."""


class Block(NamedTuple):
    """Room for some samples in work.

    Attributes:
        panels: `(m, units, ROWS)` int32 operands.
        cut: `(m, 2, ROWS)` float32; a score below it cannot be the row's maximum. Kind 0 is similarity, 1 margin.
        rows: `(2, m * ROWS)` of `ROW`.
        tile: `(ROWS, COLUMNS)` float32 products of the tile at hand.
        offers: `(capacity,)` of `OFFER`.
    """

    panels: NDArray[np.int32]
    cut: NDArray[np.float32]
    rows: NDArray[Any]
    tile: NDArray[np.float32]
    offers: NDArray[Any]


class Work(NamedTuple):
    """What one call of `screen` is asked.

    Attributes:
        rows: Samples in the block.
        start: First panel of the range; here all knowledge begins anew.
        first: Panel to go on with.
        last: End of the range.
        error: Bound of `indexes.bound`.
        bfloat16: Which tile to use.
        margins: Whether margins are asked.
    """

    rows: int
    start: int
    first: int
    last: int
    error: float
    bfloat16: bool
    margins: bool


class Exact(NamedTuple):
    """Where the float16 rows of both sides are: addresses, bytes and chunks per row; and the screen's bound."""

    samples: int
    queries: int
    stride: int
    chunks: int
    error: float


class Found(NamedTuple):
    """Exact maxima of one panel range: `(2, rows, segments)` values and packed query positions."""

    value: NDArray[np.float64]
    query: NDArray[np.int32]


@inlined
def similarity(exact: Exact, row: int, query: int) -> float:  # pragma: no cover - machine code
    """Exact similarity of a pair; adding zero makes -0.0 and 0.0 the same bits."""
    left, right = exact.samples + row * exact.stride, exact.queries + query * exact.stride
    return exact_product(np.int64(left), np.int64(right), np.int64(exact.chunks)) + 0.0


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


@compiled
def screen(
    held: Held, exact: Exact, block: Block, work: Work, found: Found
) -> tuple[int, int]:  # pragma: no cover - machine code
    """Screen a block against the panels of its range until the range or the room for offers ends.

    Returns:
        The panel to go on with (the end of the range when done), and how many offers are waiting.
    """
    panels, segments, columns, levels, floors, _, thresholds = held
    samples, cut, rows, tile, offers = block
    micro, units = -(-work.rows // ROWS), np.int64(panels.shape[1])
    lines = units * COLUMNS // 16
    share = -(-lines // micro)
    out, error, count = np.int64(tile.ctypes.data), np.float32(work.error), 0
    for queries in range(work.first, work.last):
        segment, first = segments[queries], queries * COLUMNS
        if queries == work.start or segments[queries - 1] != segment:
            _begin(rows, cut, work)
        level, floor = levels[first : first + COLUMNS], floors[first : first + COLUMNS]
        right = np.int64(panels.ctypes.data) + 64 * lines * queries
        at_level, at_floor = np.int64(level.ctypes.data), np.int64(floor.ctypes.data)
        for panel in range(micro):
            for line in range(panel * share, min(lines, (panel + 1) * share)):
                prefetch(right + 64 * (lines + line))
            left = np.int64(samples.ctypes.data) + 4 * ROWS * units * panel
            at_cut = np.int64(cut.ctypes.data) + 8 * ROWS * panel
            if work.bfloat16:
                hits = tile_bfloat16(left, right, units, at_cut, at_level, at_floor, out, error)
            else:
                hits = tile_float32(left, right, units, at_cut, at_level, at_floor, out, error)
            if hits >> COLUMN_BIT:
                lanes = min(ROWS, work.rows - panel * ROWS)
                count = _note_columns(tile, floor, offers, (panel * ROWS, lanes, first), count, work.error)
            for kind in range(2):
                bits = hits >> (MARGIN_BIT * kind) & (2**ROWS - 1)
                for lane in range(ROWS if bits else 0):
                    column = 0 if bits >> lane & 1 else COLUMNS
                    while column < COLUMNS:
                        place = (panel, kind, lane, first + column)
                        column = _note_row(tile, level, rows, cut, place, work.error)
                        if column < COLUMNS:
                            _resolve(exact, columns, thresholds, rows, cut, (panel, kind, lane))
        if queries + 1 == work.last or segments[queries + 1] != segment:
            for kind in range(1 + work.margins):
                for row in range(work.rows):
                    _resolve(exact, columns, thresholds, rows, cut, (row // ROWS, kind, row % ROWS))
                    found.value[kind, row, segment] = rows[kind, row].best
                    found.query[kind, row, segment] = rows[kind, row].query
        if count + micro * ROWS * COLUMNS > offers.shape[0]:
            return queries + 1, count
    return work.last, count
