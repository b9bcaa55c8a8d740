"""Each row's largest product with the rows before it: the triangle below the diagonal, tile by tile.

It is the pass of `indexes.cpu.screen` with the same cuts and the same proof, where a row's queries are the rows that
stand before it. Tiles that lie above the diagonal are not multiplied; those that it cuts are, and their later columns
are then taken for absent. The rows of a chunk are packed once on either side, so that a group of a thousand rows is one
call and its scores stay in the registers.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from indexes.bound import error_bound
from indexes.cpu.blocks import NO_QUERY, ROW, Exact, Question, Scratch
from indexes.cpu.kernel import compiled, inlined, tile_of
from indexes.cpu.packing import NEVER, Held, Sizes, aligned, pack, padded_bits, units_of
from indexes.cpu.primitives import CHUNK
from indexes.cpu.processor import COLUMNS, FLOAT32, NARROW, ROWS
from indexes.cpu.screen import announce, note_row, resolve
from indexes.cpu.tile_rows import first_bit
from indexes.queries import check_norms

_BLOCK: Final = 1 << 19
"""Packed bytes of the rows that pass a panel of earlier ones; half of a second-level cache of 1 MB."""
_AHEAD: Final = 4


class Chunk(NamedTuple):
    """Earlier rows, packed: what later ones are compared with.

    Attributes:
        held: The rows as queries; a query's number is its rank among them by uid, so that ties go to the lower uid.
        sizes: Their largest norms.
        form: What the tile multiplies.
        width: Columns of an embedding.
    """

    held: Held
    sizes: Sizes
    form: int
    width: int


class Triangle(NamedTuple):
    """What a block of later rows looks for in a chunk, row by row: `(m,)` float64 similarities and int32 ranks.

    On the way in `similarity` holds what is known already, -inf for nothing, and only what reaches it is looked at; on
    the way out -inf stands where nothing does.
    """

    similarity: NDArray[np.float64]
    rank: NDArray[np.int32]


def packed_chunk(vectors: NDArray[np.float16], ranks: NDArray[np.int64], narrow: bool = True) -> Chunk:
    """Pack rows that others are compared with.

    Args:
        vectors: `(n, d)` float16, canonical, in their order.
        ranks: `(n,)` each row's place among them by uid.
        narrow: Whether to screen in the processor's fastest numbers; the answers are the same.

    Raises:
        DataError: If a row is not finite or too long.
    """
    count, width = vectors.shape
    form = NARROW if narrow else FLOAT32
    by_uid = np.empty(count, np.int64)
    by_uid[ranks] = np.arange(count)
    exact = padded_bits(vectors[by_uid])
    panels = -(-count // COLUMNS)
    column = np.full(panels * COLUMNS, ranks[-1], np.int32)
    column[:count] = ranks
    packed = aligned((panels, units_of(width, form), COLUMNS))
    sizes = Sizes(*pack(exact, column, form, packed))
    if sizes.bad >= 0:
        check_norms(vectors, "sample")
    never = np.full(COLUMNS * panels, np.inf, np.float32)
    segment, thresholds = np.zeros(panels, np.int32), np.zeros(1)
    return Chunk(Held(packed, segment, column, never, never, exact, thresholds), sizes, form, width)


def look_back(
    chunk: Chunk, samples: NDArray[np.float16], first: int, found: Triangle, threads: int = 1
) -> None:
    """Find for each of some rows the most similar row of the chunk that stands before it.

    Args:
        chunk: The earlier rows.
        samples: `(m, d)` float16, canonical: consecutive rows of the same order.
        first: The place of the first of them, counted from the chunk's first row; 0 or more.
        found: `(m,)` each; what is known, and then what is found.
        threads: Blocks in work at once; they change no result.
    """
    units = units_of(chunk.width, chunk.form)
    step = ROWS * max(1, min(_BLOCK // (4 * units * ROWS), -(-len(samples) // (ROWS * threads))))
    starts = range(0, len(samples), step)

    def one(start: int) -> None:
        rows = slice(start, start + step)
        known = Triangle(found.similarity[rows], found.rank[rows])
        _block(chunk, samples[rows], first + start, known)

    if threads == 1 or len(starts) == 1:
        for start in starts:
            one(start)
        return
    with ThreadPoolExecutor(threads, "nearfar-triangle") as pool:
        # Later rows have more before them: they are begun first, so that all threads end together.
        list(pool.map(one, reversed(starts)))


def _block(chunk: Chunk, samples: NDArray[np.float16], first: int, found: Triangle) -> None:
    """Pack a block of rows and take the panels of earlier ones past it."""
    bits, rows = padded_bits(samples), len(samples)
    micro, units = -(-rows // ROWS), chunk.held.panels.shape[1]
    block = Scratch(
        panels=aligned((micro, units, ROWS)),
        cut=np.zeros((micro, 2, ROWS), np.float32),
        rows=np.zeros((2, micro * ROWS), ROW),
        tile=aligned((ROWS, COLUMNS)).view(np.float32),
        nothing=np.zeros(COLUMNS, np.float32),
        offers=np.zeros(0, np.float32),
        ranks=np.zeros((0, 0), np.float32),
        crowd=0,
    )
    sizes = Sizes(*pack(bits, np.arange(rows, dtype=np.int32), chunk.form, block.panels))
    error = error_bound(sizes, chunk.sizes, chunk.width, 0.0)
    scale = 1 / (sizes.scale * chunk.sizes.scale)
    work = Question(rows, first, 0, len(chunk.held.panels), error, chunk.form, scale, False, False)
    addresses = (bits.ctypes.data, chunk.held.exact.ctypes.data)
    exact = Exact(*addresses, 2 * bits.shape[1], bits.shape[1] // CHUNK, error, np.inf)
    # A row that has n columns before it reads its levels from COLUMNS - n on: zeros for those, the rest never reached.
    staggered = np.zeros(2 * COLUMNS, np.float32)
    staggered[COLUMNS:] = NEVER
    _screen(chunk.held, exact, block, work, staggered, found)


@compiled
def _screen(
    held: Held, exact: Exact, block: Scratch, work: Question, staggered: NDArray[np.float32], found: Triangle
) -> None:  # pragma: no cover - machine code
    """Take each panel of earlier rows past the rows of the block that come after some of it."""
    rows, cut, column, thresholds = block.rows, block.cut, held.column, held.thresholds
    cut[:] = np.inf
    for row in range(work.rows):
        known = rows[0, row]
        known.top, known.best, known.query, known.count = -np.inf, -np.inf, NO_QUERY, 0
        cut[row // ROWS, 0, row % ROWS] = np.float32(found.similarity[row] - exact.error)
    for panel in range(work.last):
        if panel * COLUMNS >= work.start + work.rows - 1:
            break
        _sweep(held, exact, block, work, staggered, panel)
    for row in range(work.rows):
        ahead = min(row + _AHEAD, work.rows - 1)
        announce(exact, column, rows[0, ahead], cut[ahead // ROWS, 0, ahead % ROWS])
        resolve(exact, column, thresholds, rows, cut, (row // ROWS, 0, row % ROWS))
        found.similarity[row], found.rank[row] = rows[0, row].best, rows[0, row].query


@inlined
def _sweep(
    held: Held, exact: Exact, block: Scratch, work: Question, staggered: NDArray[np.float32], panel: int
) -> None:  # pragma: no cover - machine code
    """Take one panel past the rows that stand after its first column."""
    cut, units, first = block.cut, np.int64(held.panels.shape[1]), panel * COLUMNS
    error, scale = np.float32(work.error), np.float32(work.scale)
    tile, right = np.int64(block.tile.ctypes.data), np.int64(held.panels[panel:].ctypes.data)
    level, floor = np.int64(held.level[first:].ctypes.data), np.int64(held.floor[first:].ctypes.data)
    left, at_cut = np.int64(block.panels.ctypes.data), np.int64(cut.ctypes.data)
    begin = max(0, (first - work.start - ROWS + 1) // ROWS + 1)
    for micro in range(begin, -(-work.rows // ROWS)):
        a, at = left + 4 * ROWS * units * micro, at_cut + 8 * ROWS * micro
        hits = tile_of(work.form, (a, right, units), (at, level, floor), tile, (error, scale))
        while hits:
            lane = first_bit(hits)
            hits &= hits - 1
            before = min(COLUMNS, work.start + micro * ROWS + lane - first)
            if before > 0:
                _look(held, exact, block, staggered, (micro, 0, lane, first), before)


@inlined
def _look(
    held: Held, exact: Exact, block: Scratch, staggered: NDArray[np.float32], place: Any, before: int
) -> None:  # pragma: no cover - machine code
    """Note what a row of the tile has among its first `before` columns."""
    micro, _, lane, _ = place
    scores = np.int64(block.tile.ctypes.data) + 4 * COLUMNS * lane
    levels = np.int64(staggered.ctypes.data) + 4 * (COLUMNS - before)
    waiting = (np.int64(1) << np.int64(before)) - 1
    while waiting:
        known = block.rows[0, micro * ROWS + lane]
        waiting = note_row((scores, levels), known, block.cut, place, exact, waiting)
        if waiting:
            resolve(exact, held.column, held.thresholds, block.rows, block.cut, (micro, 0, lane))
