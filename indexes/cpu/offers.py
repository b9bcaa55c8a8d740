"""Pairs of a tile that may be among a query's nearest: noted, and thinned out by what they prove of each other."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.cpu.blocks import Block
from indexes.cpu.kernel import COLUMNS, inlined
from indexes.cpu.tile_rows import first_bit, float_at, reaching


@inlined
def note_columns(
    tile: Any, floor: Any, offers: NDArray[Any], place: tuple[int, int, int], count: int, error: float
) -> int:  # pragma: no cover - machine code
    """Note pairs of the tile that may be among a query's nearest; gives the number of offers."""
    row, lanes, first = place
    for lane in range(lanes):
        scores = np.int64(tile + 4 * COLUMNS * lane)
        bits = reaching(scores, np.int64(floor), np.float32(-error))
        while bits:
            column = first_bit(bits)
            offer = offers[count]
            offer.row = row + lane
            offer.column = first + column
            offer.score = float_at(scores, column)
            bits &= bits - 1
            count += 1
    return count


@inlined
def thin(
    floors: NDArray[np.float32], block: Block, span: tuple[int, int, int], error: float
) -> int:  # pragma: no cover - machine code
    """Raise a panel's floors to what its offers prove, and drop the offers below; gives the number of offers.

    k samples with scores of at least a have similarities of at least a - error, and so has the query's k-th best.
    """
    first, begin, end = span
    offers, ranks, last = block.offers, block.ranks, block.ranks.shape[1] - 1
    ranks[:] = -np.inf
    for index in range(begin, end):
        score, best = offers[index].score, ranks[offers[index].column - first]
        if score <= best[last]:
            continue
        place = last
        while place > 0 and best[place - 1] < score:
            best[place] = best[place - 1]
            place -= 1
        best[place] = score
    for column in range(COLUMNS):
        floors[first + column] = max(floors[first + column], np.float32(ranks[column, last] - error))
    kept = begin
    for index in range(begin, end):
        offer = offers[index]
        if offer.score >= np.float32(floors[offer.column] - error):
            offers[kept].row, offers[kept].column, offers[kept].score = offer.row, offer.column, offer.score
            kept += 1
    return kept
