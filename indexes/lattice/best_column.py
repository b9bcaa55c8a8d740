"""Each row's best column: tiles of a lattice, and exact products for what they leave open.

Whoever ties or beats what is known of a row lies within a certain distance of it (`indexes.lattice.reach`), so also
within that distance over the first numbers, which a tile looks at. Pairs that this leaves are looked at over all
numbers, and what that leaves is multiplied exactly. What is known of a row only rises, and what was given up scored
less; so every pair of the largest score is computed exactly, in whatever order, and the lowest rank of equal ones is
kept.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from indexes.cpu.kernel import compiled, inlined
from indexes.cpu.primitives import CHUNK, exact_product
from indexes.cpu.processor import COLUMNS, ROWS
from indexes.cpu.tile_rows import first_bit
from indexes.lattice.laid import KEPT, NO_COLUMN, Laid, Room, Scoring
from indexes.lattice.reach import Reach, reach_of
from indexes.lattice.register_tile import VALUES, bits_of, mask_of, pair_of, tile_of

_LOWEST: Final = -(1 << 31)
_TRIED: Final = 4
"""Tiles that tell after how many numbers to give up."""
_TILE, _PAIR, _PAIR_UNIT = 7.5, 12.0, 0.06
"""Nanoseconds of a tile's unit, of a pair, and of a pair's unit; only their ratios matter."""


@compiled
def best_columns(
    rows: Laid,
    columns: Laid,
    scoring: Scoring,
    bounds: Reach,
    room: Room,
    stages: NDArray[np.int64],
    form: int,
    start: int,
    least: NDArray[np.float64],
    guess: NDArray[np.int32],
) -> int:  # pragma: no cover - machine code
    """Find each row's best column among those before it.

    Args:
        rows: The rows, as many as a second-level cache holds.
        columns: The columns.
        scoring: What their scores are.
        bounds: What bounds their distances.
        room: What is known of the rows is the answer: `best` and `column`, -inf and `NO_COLUMN` where nothing reaches.
        stages: Units of the first numbers after which a tile may be given up; the last are all.
        form: What the tile multiplies.
        start: Row r has the first `start` + r columns before it.
        least: `(n,)` what a column must score to be looked for; -inf for anything.
        guess: `(n,)` a column to look at first, or `NO_COLUMN`.

    Returns:
        How many units were multiplied, of tiles alone.
    """
    cut, known, last = room.cut, room.known, stages.shape[0] - 1
    unknown = _begin(rows, columns, scoring, bounds, room, least, guess)
    micros, units, stage, spent = rows.panels.shape[0], rows.units.shape[1], last, 0
    out, cuts, left = (
        np.int64(room.tile.ctypes.data),
        np.int64(cut.ctypes.data),
        np.int64(rows.panels.ctypes.data),
    )
    for panel in range(columns.panels.shape[0]):
        first = panel * COLUMNS
        if first >= start + known.shape[0] - 1:
            break
        begin = max(0, (first - start + 1) // ROWS)
        # By the second panel every row has met the first. What is known rises ever more slowly: powers of four will do.
        if (panel & (panel - 1) == 0 and panel & 0x55555555) if panel else not unknown:
            stage = _stage(rows, columns, room, stages, form, panel, begin)
        for row in range(known.shape[0]):
            cut[row] = max(rows.level[stage, row] - known[row].reach, _LOWEST)
        level, right = (
            np.int64(columns.level[stage, first:].ctypes.data),
            np.int64(columns.panels[panel:].ctypes.data),
        )
        spent += stages[stage] * (micros - begin)
        for micro in range(begin, micros):
            sides = (left + 4 * ROWS * units * micro, right, stages[stage])
            if not tile_of(form, sides, cuts + 4 * ROWS * micro, level, out):
                continue
            for row in range(micro * ROWS, min(micro * ROWS + ROWS, known.shape[0])):
                before = min(COLUMNS, columns.units.shape[0] - first, start + row - first)
                mask = mask_of(out, row - micro * ROWS) & ((np.int64(1) << np.int64(max(before, 0))) - 1)
                if mask:
                    values = VALUES // 4 + (row - micro * ROWS) * COLUMNS
                    if stage < last:
                        _over_all(rows, columns, room, form, (row, first, values), mask)
                    _consider(rows, columns, scoring, bounds, room, (row, first, values), mask)
                    cut[row] = max(rows.level[stage, row] - known[row].reach, _LOWEST)
    for row in range(known.shape[0]):
        _resolve(rows, columns, scoring, bounds, known[row], row)
    return spent


@inlined
def _begin(
    rows: Laid,
    columns: Laid,
    scoring: Scoring,
    bounds: Reach,
    room: Room,
    least: NDArray[np.float64],
    guess: NDArray[np.int32],
) -> bool:  # pragma: no cover - machine code
    """Note what must be reached, guesses looked at, and say whether that is nothing for some row."""
    unknown = False
    # Rows that fill up the last tile reach nothing.
    room.cut[:] = 2**31 - 1
    for row in range(room.known.shape[0]):
        one = room.known[row]
        one.best, one.column, one.count, one.top, one.least = -np.inf, NO_COLUMN, 0, _LOWEST, least[row]
        one.reach = reach_of(least[row], rows.norm[row], rows.lost[row], bounds)
        if guess[row] != NO_COLUMN:
            _exactly(rows, columns, scoring, bounds, one, row, guess[row])
        unknown |= one.least == -np.inf
    return unknown


@inlined
def _stage(
    rows: Laid, columns: Laid, room: Room, stages: NDArray[np.int64], form: int, panel: int, begin: int
) -> int:  # pragma: no cover - machine code
    """Choose after how many numbers to give up, by what some tiles of a panel leave; it changes no answer."""
    cut, known, micros = room.cut, room.known, rows.panels.shape[0]
    out, cuts, left = (
        np.int64(room.tile.ctypes.data),
        np.int64(cut.ctypes.data),
        np.int64(rows.panels.ctypes.data),
    )
    right, units, tried = (
        np.int64(columns.panels[panel:].ctypes.data),
        rows.units.shape[1],
        min(_TRIED, micros - begin),
    )
    chosen, cheapest = stages.shape[0] - 1, _TILE * units
    for stage in range(stages.shape[0] - 1):
        level, pairs = np.int64(columns.level[stage, panel * COLUMNS :].ctypes.data), 0
        for turn in range(tried):
            micro = begin + (2 * turn + 1) * (micros - begin) // (2 * tried)
            for row in range(micro * ROWS, min(micro * ROWS + ROWS, known.shape[0])):
                cut[row] = max(rows.level[stage, row] - known[row].reach, _LOWEST)
            sides = (left + 4 * ROWS * units * micro, right, stages[stage])
            if tile_of(form, sides, cuts + 4 * ROWS * micro, level, out):
                for lane in range(ROWS):
                    pairs += bits_of(mask_of(out, lane))
        cost = _TILE * stages[stage] + (_PAIR + _PAIR_UNIT * units) * pairs / max(tried, 1)
        if cost < cheapest:
            chosen, cheapest = stage, cost
    return int(chosen)


@inlined
def _over_all(
    rows: Laid, columns: Laid, room: Room, form: int, place: tuple[int, int, int], mask: Any
) -> None:  # pragma: no cover - machine code
    """Replace the sums of a row's columns in `mask` by those over all numbers."""
    row, first, values = place
    last, units = rows.level.shape[0] - 1, np.int64(rows.units.shape[1])
    here, there = np.int64(rows.units[row:].ctypes.data), np.int64(columns.units[first:].ctypes.data)
    while mask:
        column = first_bit(mask)
        mask &= mask - 1
        total = pair_of(form, here, there + 4 * units * column, units) - columns.level[last, first + column]
        room.tile[values + column] = total


@inlined
def _consider(
    rows: Laid,
    columns: Laid,
    scoring: Scoring,
    bounds: Reach,
    room: Room,
    place: tuple[int, int, int],
    mask: Any,
) -> None:  # pragma: no cover - machine code
    """Take in the columns of a row in `mask`, whose sums are those over all numbers.

    The nearest so far is computed exactly at once, since that spares many of those that follow; the others wait.
    """
    row, first, values = place
    one, half = room.known[row], rows.level[rows.level.shape[0] - 1, row]
    top, nearest, bits = one.top, np.int64(-1), mask
    while bits:
        column = first_bit(bits)
        bits &= bits - 1
        if room.tile[values + column] > top:
            top, nearest = room.tile[values + column], column
    if nearest >= 0:
        one.top = top
        mask &= ~(np.int64(1) << nearest)
        if top >= half - one.reach:
            _exactly(rows, columns, scoring, bounds, one, row, first + nearest)
    while mask:
        column = first_bit(mask)
        mask &= mask - 1
        total = room.tile[values + column]
        if total < half - one.reach:
            continue
        if one.count == KEPT:
            _resolve(rows, columns, scoring, bounds, one, row)
        one.waiting[one.count], one.sum[one.count] = first + column, total
        one.count += 1


@inlined
def _resolve(
    rows: Laid, columns: Laid, scoring: Scoring, bounds: Reach, one: Any, row: int
) -> None:  # pragma: no cover - machine code
    """Compute a row's waiting columns exactly, the nearest first, whose score may spare the others."""
    half, promising = rows.level[rows.level.shape[0] - 1, row], 0
    for turn in range(1, one.count):
        if one.sum[turn] > one.sum[promising]:
            promising = turn
    for turn in range(one.count):
        pick = promising if turn == 0 else (0 if turn == promising else turn)
        if one.sum[pick] >= half - one.reach:
            _exactly(rows, columns, scoring, bounds, one, row, one.waiting[pick])
    one.count = 0


@inlined
def _exactly(
    rows: Laid, columns: Laid, scoring: Scoring, bounds: Reach, one: Any, row: int, column: Any
) -> None:  # pragma: no cover - machine code
    """Compute a pair exactly, and keep it where it is the best; adding zero makes -0.0 and 0.0 the same bits."""
    width = rows.width
    here, there = (
        rows.vectors + 2 * width * rows.which[row],
        columns.vectors + 2 * width * columns.which[column],
    )
    value = exact_product(np.int64(here), np.int64(there), np.int64(width // CHUNK)) + 0.0
    if scoring.off.shape[0]:
        value -= scoring.off[column]
    if value < one.least:
        return
    if value > one.best or scoring.rank[column] < scoring.rank[one.column]:
        one.best, one.least, one.column = value, value, column
        one.reach = reach_of(value, rows.norm[row], rows.lost[row], bounds)
