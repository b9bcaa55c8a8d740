"""The fused pass of the CPU engine: tiles against what is known, exact products for what may matter.

With e the bound of `indexes.bound`, a screened scores, s exact values (of similarities, or of margins), two things hold
from the begin to the end of a segment, for every row and kind:
* its cut is at most max(top − 2e, best − e), where top is the largest a and best the largest s so far. The pair of the
  largest s in the whole segment has a >= s − e, and s >= best and s >= top − e; so it is never below the cut.
* every pair seen so far was below the cut of its time, or is in best, or waits among the row's candidates. Cuts only
  rise, so what was below stays below.

A pair is looked at once, and best keeps the lower query of equal ones, so that the order in which pairs are resolved
changes what they cost and never what comes out.
Compiled functions take arrays and plain numbers one by one: a tuple of arrays costs 0.4 µs per call to hand over,
which is as much as a tile.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from indexes.cpu.blocks import KEPT, NO_QUERY, Exact, PanelMaxima, Question, Scratch
from indexes.cpu.kernel import COLUMN_BIT, MARGIN_BIT, compiled, inlined, tile_of
from indexes.cpu.offers import note_columns, thin
from indexes.cpu.packing import Held
from indexes.cpu.primitives import exact_product, prefetch
from indexes.cpu.processor import COLUMNS, ROWS
from indexes.cpu.tile_rows import first_bit, float_at, reaching, top_of

_AHEAD: Final = 4
_EVERY: Final = np.int64(2**COLUMNS - 1)


@inlined
def similarity(exact: Exact, row: int, query: int) -> float:  # pragma: no cover - machine code
    """Exact similarity of a pair; adding zero makes -0.0 and 0.0 the same bits."""
    left, right = exact.samples + row * exact.stride, exact.queries + query * exact.stride
    return float(exact_product(np.int64(left), np.int64(right), np.int64(exact.chunks)) + 0.0)


@inlined
def resolve(
    exact: Exact,
    column: NDArray[np.int32],
    thresholds: NDArray[np.float64],
    rows: NDArray[Any],
    cut: NDArray[np.float32],
    place: tuple[int, int, int],
) -> None:  # pragma: no cover - machine code
    """Compute a row's waiting candidates exactly; the most promising first, whose value raises the cut for the rest.

    Args:
        exact: Where the float16 rows of both sides are.
        column: `(p,)` packed query of each column.
        thresholds: `(q,)` float64.
        rows: `(2, n)` of `ROW`.
        cut: `(m, 2, ROWS)` float32.
        place: Panel, kind and lane of the row.
    """
    panel, kind, lane = place
    known = rows[kind, panel * ROWS + lane]
    promising = 0
    for turn in range(1, known.count):
        if known.score[turn] > known.score[promising]:
            promising = turn
    for turn in range(known.count):
        pick = promising if turn == 0 else (0 if turn == promising else turn)
        # Where margins above zero are counted, the cut stays at -e or below: what is skipped has none.
        if known.score[pick] < cut[panel, kind, lane]:
            continue
        query, other = column[known.column[pick]], rows[0, panel * ROWS + lane]
        if kind == 1:
            # Both kinds walk through one segment, so `other.best` is this very pair's similarity.
            same = query == other.query
            value = other.best if same else similarity(exact, panel * ROWS + lane, query)
            value -= thresholds[query]
            known.over += np.int32(value > 0)
        else:
            value = similarity(exact, panel * ROWS + lane, query)
        if value > known.best or (value == known.best and query < known.query):
            known.best = value
            known.query = query
            raised = max(cut[panel, kind, lane], np.float32(value - exact.error))
            cut[panel, kind, lane] = min(raised, np.float32(exact.least)) if kind == 1 else raised
    known.count = 0


@inlined
def note_row(
    at: tuple[Any, Any],
    known: Any,
    cut: NDArray[np.float32],
    place: tuple[int, int, int, int],
    exact: Exact,
    bits: Any,
) -> Any:  # pragma: no cover - machine code
    """Note a row's candidates of a tile: the columns among `bits` that are at or above the cut.

    Filling columns repeat their panel's last query: as similarities they come to that query again; as margins their
    level keeps them below any cut that a top has set, so that none is counted twice. `cut` is `(m, 2, ROWS)` float32,
    `at` the addresses of the row's scores and levels.

    Returns:
        Bits of the columns that found no room, to be noted once the waiting candidates are resolved.
    """
    panel, kind, lane, first = place
    limit = cut[panel, kind, lane]
    bits &= reaching(at[0], at[1], limit)
    if not bits:
        return bits
    # The top raises the cut before anything is noted. A column that reaches the cut alone is the top.
    alone, column = bits & (bits - 1) == 0, first_bit(bits)
    top = float_at(at[0], column) - float_at(at[1], column) if alone else top_of(at[0], at[1])
    known.top = max(known.top, top)
    limit = max(limit, np.float32(known.top - 2 * exact.error))
    limit = min(limit, np.float32(exact.least)) if kind == 1 else limit
    cut[panel, kind, lane] = limit
    if not alone:
        bits &= reaching(at[0], at[1], limit)
    count = known.count
    while bits and count < KEPT:
        column = first_bit(bits)
        known.column[count] = first + column
        known.score[count] = float_at(at[0], column) - float_at(at[1], column)
        bits &= bits - 1
        count += 1
    known.count = count
    return bits


@compiled
def _begin(
    rows: NDArray[Any], cut: NDArray[np.float32], work: Question
) -> None:  # pragma: no cover - machine code
    """Forget what was known: a new segment begins."""
    # Rows that fill up the last tile, and margins that nobody asks for, keep +inf: they reach no cut.
    cut[:] = np.inf
    for kind in range(1 + work.margins):
        for row in range(work.rows):
            known = rows[kind, row]
            known.top, known.best, known.query = -np.inf, -np.inf, NO_QUERY
            known.count, known.over = 0, 0
            cut[row // ROWS, kind, row % ROWS] = -np.inf


@inlined
def announce(
    exact: Exact, column: NDArray[np.int32], known: Any, cut: float
) -> None:  # pragma: no cover - machine code
    """Bring the queries that a row's candidates need into the cache; `column` is `(p,)` packed queries."""
    for turn in range(known.count):
        if known.score[turn] >= cut:
            start = exact.queries + column[known.column[turn]] * exact.stride
            for line in range(exact.stride // 64):
                prefetch(np.int64(start + 64 * line))


@compiled
def _finish(
    held: Held, exact: Exact, block: Scratch, work: Question, found: PanelMaxima, segment: int
) -> None:  # pragma: no cover - machine code
    """Resolve all rows and write the segment's exact maxima."""
    column, thresholds, rows, cut = held.column, held.thresholds, block.rows, block.cut
    for kind in range(1 + work.margins):
        for row in range(work.rows):
            ahead = min(row + _AHEAD, work.rows - 1)
            announce(exact, column, rows[kind, ahead], cut[ahead // ROWS, kind, ahead % ROWS])
            resolve(exact, column, thresholds, rows, cut, (row // ROWS, kind, row % ROWS))
            found.value[kind, row, segment] = rows[kind, row].best
            found.query[kind, row, segment] = rows[kind, row].query
    if work.counting:
        for row in range(work.rows):
            found.over[row, segment] = rows[1, row].over


@inlined
def _sweep(
    held: Held, exact: Exact, block: Scratch, work: Question, queries: int, count: int
) -> int:  # pragma: no cover - machine code
    """Take one panel of queries past all samples of the block.

    The panel stays in the first-level cache meanwhile. A tile is stored only if its answer is not zero, and stays until
    the next one is: offers and rows both read it. Cuts are this thread's own and up to date; floors are all threads',
    read without a lock: they only rise, so an old one lets more pairs through and loses none.

    Returns:
        The number of offers that wait.
    """
    columns, thresholds, first = held.column, held.thresholds, queries * COLUMNS
    cut, rows, offers = block.cut, block.rows, block.offers
    units, micro = np.int64(held.panels.shape[1]), -(-work.rows // ROWS)
    scale = np.float32(work.scale)
    lines, error, tile = units * COLUMNS // 16, np.float32(work.error), np.int64(block.tile.ctypes.data)
    right, left = np.int64(held.panels[queries:].ctypes.data), np.int64(block.panels.ctypes.data)
    level, floor = np.int64(held.level[first:].ctypes.data), np.int64(held.floor[first:].ctypes.data)
    at_cut, nothing = np.int64(cut.ctypes.data), np.int64(block.nothing.ctypes.data)
    # Only this panel's offers, from `begin` on, can be thinned; twice as many as may stay pay for the look.
    begin, crowd = count, block.crowd
    due = begin + 3 * crowd
    for panel in range(micro):
        for line in range(panel * lines // micro, (panel + 1) * lines // micro):
            prefetch(right + 64 * (lines + line))
        a, at = left + 4 * ROWS * units * panel, at_cut + 8 * ROWS * panel
        hits = tile_of(work.form, (a, right, units), (at, level, floor), tile, (error, scale))
        if hits >> COLUMN_BIT:
            place = (panel * ROWS, min(ROWS, work.rows - panel * ROWS), first)
            count = note_columns(tile, floor, offers, place, count, work.error)
            if count > due:
                count = thin(held.floor, block, (first, begin, count), work.error)
                due = count + 2 * crowd
        bits = hits & (2**COLUMN_BIT - 1)
        while bits:
            code = first_bit(bits)
            bits &= bits - 1
            kind, lane = code // MARGIN_BIT, code % MARGIN_BIT
            known, waiting = rows[kind, panel * ROWS + lane], _EVERY
            while waiting:
                where = (tile + 4 * COLUMNS * lane, level if kind else nothing)
                waiting = note_row(where, known, cut, (panel, kind, lane, first), exact, waiting)
                if waiting:
                    resolve(exact, columns, thresholds, rows, cut, (panel, kind, lane))
    if 2 * (count - begin) > 3 * crowd:
        count = thin(held.floor, block, (first, begin, count), work.error)
    return count


@compiled
def screen(
    held: Held, exact: Exact, block: Scratch, work: Question, found: PanelMaxima
) -> tuple[int, int]:  # pragma: no cover - machine code
    """Screen a block against the panels of its range until the range or the room for offers ends.

    Returns:
        The panel to go on with (the end of the range when done), and how many offers are waiting.
    """
    segments, count = held.segment, 0
    # A sweep notes every pair at worst; so much room is left that it need not ask.
    room = block.offers.shape[0] - -(-work.rows // ROWS) * ROWS * COLUMNS
    for queries in range(work.first, work.last):
        # A range that goes on after its offers were taken away still knows its rows: only a segment's begin forgets.
        if queries == work.start or segments[queries - 1] != segments[queries]:
            _begin(block.rows, block.cut, work)
        count = _sweep(held, exact, block, work, queries, count)
        if queries + 1 == work.last or segments[queries + 1] != segments[queries]:
            _finish(held, exact, block, work, found, segments[queries])
        if count > room:
            return queries + 1, count
    return work.last, count
