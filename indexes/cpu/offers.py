"""Pairs of a tile that may be among a query's nearest: noted, and thinned out by what they prove of each other.

A floor is a similarity that a query's k-th best sample of the stream is certain to reach in the end: f <= its k-th best
s. Whoever belongs on the list has s >= f, hence a screened score a >= f − e, and is offered. Floors only rise, by lists
that are full (`nearest.insert`) and by offers that are waiting (`thin`). Those need not be on a list yet: none of
the k offers that prove a floor lies below it by more than e, so all of them are kept until they are computed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.cpu.blocks import Scratch
from indexes.cpu.kernel import inlined
from indexes.cpu.processor import COLUMNS
from indexes.cpu.tile_rows import first_bit, float_at, reaching


@inlined
def note_columns(
    tile: Any, floor: Any, offers: NDArray[Any], place: tuple[int, int, int], count: int, error: float
) -> int:  # pragma: no cover - machine code
    """Note pairs of the tile that may be among a query's nearest.

    Args:
        tile: Address of `(ROWS, COLUMNS)` float32 screened scores.
        floor: Address of `(COLUMNS,)` float32 floors; -inf lets all pass, and +inf (filling columns) none.
        offers: `(capacity,)` of `OFFER`, with room for a whole tile.
        place: The tile's first row, its rows that are samples, and its first column.
        count: Offers so far.
        error: The screen's bound.

    Returns:
        Offers now.
    """
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
    floors: NDArray[np.float32], block: Scratch, span: tuple[int, int, int], error: float
) -> int:  # pragma: no cover - machine code
    """Raise a panel's floors to what its offers prove, and drop the offers below.

    k samples with scores of at least a have similarities of at least a − e, and so has the query's k-th best. They are
    k different samples, since a panel meets each sample of the block once. With k above `MOST_RANKS`, the last rank
    would not be the k-th; the crowd is then set so large that nobody calls this.

    Args:
        floors: `(p * COLUMNS,)` float32.
        block: Its offers, and its `(COLUMNS, k)` ranks as scratch.
        span: The panel's first column, and its offers: the first and the one behind the last.
        error: The screen's bound e.

    Returns:
        Offers now, those before the span included.
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
