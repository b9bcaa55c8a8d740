"""The CPU engine: blocks of samples over threads, each fused tile by tile; see DESIGN_NOTE.md.

What keeps answers independent of threads and blocks: a row's maxima are exact and tie to the lower query, whoever finds
them first; lists of neighbours have a total order; and what threads share, the floors of those lists, only rises and
only ever decides what is *not* looked at.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from indexes.bound import error_bound
from indexes.cpu.blocks import MOST_RANKS, NO_QUERY, OFFER, ROW, Exact, PanelMaxima, Question, Scratch
from indexes.cpu.nearest import ENTRY, as_neighbours, evaluate, insert, no_neighbours
from indexes.cpu.packing import Sizes, aligned, hold, pack, padded_bits, padded_width, units_of
from indexes.cpu.primitives import CHUNK
from indexes.cpu.processor import COLUMNS, FLOAT32, NARROW, ROWS
from indexes.cpu.screen import screen
from indexes.errors import DataError
from indexes.queries import MAX_NORM, Queries
from indexes.scanner import ScanOptions, check_memory, check_samples, check_uids
from indexes.scores import Neighbours, Scores

PARTS = 4
"""Pieces over the queries that a block is cut into where it is among the last ones."""

MOST_BYTES = 1 << 19
"""Packed samples of a block; half of a second-level cache of 1 MB."""

MOST_OFFERS = 1 << 18


@dataclass(frozen=True, slots=True)
class Layout:
    """How much of the problem is in work at a time.

    Attributes:
        threads: Blocks in work at once.
        rows: Samples per block, a multiple of `ROWS`.
        offers: Room for offers per block.
    """

    threads: int
    rows: int
    offers: int

    def bytes(self, width: int, form: int) -> int:
        """Working memory of all threads."""
        per_row = 4 * units_of(width, form) + 2 * padded_width(width) + 2 * (ROW.itemsize + 4)
        return self.threads * (self.rows * per_row + OFFER.itemsize * self.offers)


@dataclass(frozen=True, slots=True)
class Item:
    """A piece of work: samples `low` to `high` against panels `first` to `last`.

    `alone` says that no other item in work has the same queries, so that their lists need no lock: the items of a
    single block are cut over panels, and no query is in two panels (filling columns are never offered).
    """

    low: int
    high: int
    first: int
    last: int
    alone: bool


@dataclass(frozen=True, slots=True)
class Stream:
    """One block as the caller gave it, and what was found in it."""

    samples: NDArray[np.float16]
    uids: NDArray[np.uint64]
    position: int
    found: PanelMaxima


class ExactScanner:
    """Scan on the CPU with decisions equal to float64's."""

    def __init__(self, queries: Queries, options: ScanOptions) -> None:
        self._queries, self._form = queries, NARROW if options.bfloat16 else FLOAT32
        self._layout = fit_layout(queries, options, self._form)
        self._held, self._sizes = hold(queries, self._form)
        self._nearest = no_neighbours(len(queries.vectors), options.k)
        self._blocks = [self._scratch() for _ in range(self._layout.threads)]
        self._count_over, self._lock = options.count_over, threading.Lock()
        self._pool = ThreadPoolExecutor(self._layout.threads, "nearfar-search")
        self._steepest = float(np.abs(self._held.thresholds).max())
        self._seen = 0

    def scan(self, samples: NDArray[np.float16], uids: NDArray[np.uint64] | None = None) -> Scores:
        """Score one block; see `indexes.scanner.Scanner`."""
        check_samples(samples, self._queries.width)
        samples = np.ascontiguousarray(samples)
        found = self._nothing_found(len(samples))
        stream = Stream(samples, check_uids(uids, len(samples), self._seen), self._seen, found)
        for low, high in self._pieces(len(samples)):
            items = iter(self._items(low, high))
            list(self._pool.map(lambda block, items=items: self._work(stream, items, block), self._blocks))
        self._seen += len(samples)
        return self._scores(found)

    def neighbours(self) -> Neighbours:
        """List the nearest samples of each query over the stream so far."""
        return as_neighbours(self._nearest)

    def _pieces(self, rows: int) -> Iterator[tuple[int, int]]:
        """Cut a young stream into growing pieces, so that what they teach saves exact products in the next."""
        low, least, whole = 0, self._layout.rows, self._layout.rows * self._layout.threads
        while low < rows:
            known = self._seen + low
            high = rows if known >= whole else min(rows, low + max(least, known))
            yield low, high
            low = high

    def _items(self, low: int, high: int) -> list[Item]:
        """Cut a piece into items; the last blocks are cut over the queries too, so that threads end together."""
        threads, panels = self._layout.threads, len(self._held.segment)
        blocks = -(-(high - low) // self._layout.rows)
        rows = -(-(high - low) // (blocks * ROWS)) * ROWS
        items = []
        for start in range(low, high, rows):
            last_ones = high - start <= threads * rows and threads > 1
            parts = min(panels, max(PARTS, threads)) if last_ones else 1
            edges = np.linspace(0, panels, parts + 1).astype(int).tolist()
            items += [Item(start, min(start + rows, high), *edge, blocks == 1) for edge in pairwise(edges)]
        return items

    def _work(self, stream: Stream, items: Iterator[Item], block: Scratch) -> None:
        """Take items as long as there are any; all threads share the iterator."""
        for item in items:
            self._screen(stream, item, block)

    def _screen(self, stream: Stream, item: Item, block: Scratch) -> None:
        """Pack, screen, and merge what was found; offers are inserted whenever their room is full.

        The order matters twice. A bad row is refused before the screen raises any floor on its account. And offers are
        evaluated before the screen goes on, for it writes the next ones over them.

        Raises:
            DataError: If a row is not finite or too long.
        """
        bits = padded_bits(stream.samples[item.low : item.high])
        rows = item.high - item.low
        sizes = Sizes(*pack(bits, np.arange(rows, dtype=np.int32), self._form, block.panels))
        if sizes.bad >= 0:
            raise _bad_row(stream.samples, item.low + sizes.bad)
        error = error_bound(sizes, self._sizes, self._queries.width, self._steepest)
        margins = self._queries.thresholds is not None
        counting = margins and self._count_over
        scale = 1 / (sizes.scale * self._sizes.scale)
        work = Question(rows, item.first, item.first, item.last, error, self._form, scale, margins, counting)
        stride, least = 2 * bits.shape[1], -error if counting else np.inf
        addresses = (bits.ctypes.data, self._held.exact.ctypes.data)
        exact = Exact(*addresses, stride, bits.shape[1] // CHUNK, error, least)
        found = self._nothing_found(rows)
        while work.first < item.last:
            following, offers = screen(self._held, exact, block, work, found)
            offers = evaluate(self._held, exact, block.offers, offers, error)
            with nullcontext() if item.alone else self._lock:
                uids = stream.uids[item.low : item.high]
                insert(self._held, self._nearest, block.offers, uids, (offers, stream.position + item.low))
            work = work._replace(first=following)
        with self._lock:
            _merge(stream.found, found, item)

    def _nothing_found(self, rows: int) -> PanelMaxima:
        segments = len(self._queries.names)
        value, query = np.full((2, rows, segments), -np.inf), np.full((2, rows, segments), NO_QUERY, np.int32)
        return PanelMaxima(value, query, np.zeros((rows, segments), np.int32))

    def _scratch(self) -> Scratch:
        rows, offers, k = self._layout.rows, self._layout.offers, self._nearest.shape[1]
        return Scratch(
            panels=aligned((rows // ROWS, self._held.panels.shape[1], ROWS)),
            cut=np.zeros((rows // ROWS, 2, ROWS), np.float32),
            rows=np.zeros((2, rows), ROW),
            tile=aligned((ROWS, COLUMNS)).view(np.float32),
            nothing=np.zeros(COLUMNS, np.float32),
            offers=np.zeros(offers, OFFER),
            ranks=np.zeros((COLUMNS, min(k, MOST_RANKS)), np.float32),
            crowd=COLUMNS * k if k <= MOST_RANKS else offers,
        )

    def _scores(self, found: PanelMaxima) -> Scores:
        similarity, margin = found.value
        nearest, margin_query = (self._queries.positions(query.astype(np.int64)) for query in found.query)
        if self._queries.thresholds is None:
            return Scores(similarity, nearest, None, None)
        over = found.over if self._count_over else None
        return Scores(similarity, nearest, margin, margin_query, over)


def fit_layout(queries: Queries, options: ScanOptions, form: int) -> Layout:
    """Choose the largest blocks that the memory limit holds, and fewer threads where it must be.

    Raises:
        BadInputError: If not even one block of one tile fits.
    """
    size, width = queries.vectors.shape
    units = units_of(width, form)
    held = (size + COLUMNS * len(queries.names)) * (4 * units + 12) + size * ENTRY.itemsize * options.k
    held += size * 2 * padded_width(width) if padded_width(width) != width else 0
    most = max(1, min(64, MOST_BYTES // (4 * units * ROWS)))
    for threads in range(options.workers, 0, -1):
        for tiles in range(most, 0, -1):
            needed = 2 * tiles * ROWS * COLUMNS
            for offers in (max(MOST_OFFERS, needed), needed):
                layout = Layout(threads, tiles * ROWS, offers)
                if held + layout.bytes(width, form) <= options.memory_limit:
                    return layout
    check_memory(held + layout.bytes(width, form), options.memory_limit, f"{size} queries of width {width}")
    return layout


def _merge(whole: PanelMaxima, part: PanelMaxima, item: Item) -> None:
    """Take over the better of two exact maxima; ties go to the lower query."""
    value, query = whole.value[:, item.low : item.high], whole.query[:, item.low : item.high]
    better = (part.value > value) | ((part.value == value) & (part.query < query))
    value[better], query[better] = part.value[better], part.query[better]
    whole.over[item.low : item.high] += part.over


def _bad_row(samples: NDArray[np.float16], row: int) -> DataError:
    norm = float(np.linalg.norm(samples[row].astype(np.float64)))
    return DataError(
        f"sample {row} has norm {norm:g}; a search takes finite vectors of norm below {MAX_NORM:g}. "
        "Pass the vectors through canonical() first"
    )
