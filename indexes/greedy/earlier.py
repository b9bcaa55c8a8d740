"""Each row's most similar earlier row, exactly: what a greedy choice over an order of rows looks at.

Half of all pairs are screened as rows of whole numbers (`indexes.lattice`), and the answers are exact; memory holds a
chunk of earlier rows and one of later ones, however many rows there are. On a GPU rows are halved first: the later half
is searched among the earlier one there, then each half by itself, down to what is quicker here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from indexes.device.choice import works_on_card
from indexes.queries import Queries
from indexes.scanner import ScanOptions
from indexes.search import open_scanner

_FEW = 4096
"""Rows that a GPU does not halve any more."""
_SMALL = 1 << 22
"""Pairs of rows that one thread compares: to start and join others takes longer."""
_CHUNK = 1 << 15
"""Earlier and later rows that are compared at a time."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """For each row of an order, the most similar row before it.

    Attributes:
        similarity: `(n,)` float64, exact inner product, higher is closer; -inf for the first row, and where none is as
            similar as was asked.
        row: `(n,)` int64, position of that row in the order; ties go to the lower uid; -1 where there is none.
    """

    similarity: NDArray[np.float64]
    row: NDArray[np.int64]


def uid_ranks(uids: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Say of `(n, 2)` uids which place each has among them in ascending order, `(n,)`."""
    ranks = np.empty(len(uids), np.int64)
    ranks[np.lexsort((uids[:, 1], uids[:, 0]))] = np.arange(len(uids))
    return ranks


def nearest_earlier(
    vectors: NDArray[np.float16],
    uids: NDArray[np.uint64],
    order: NDArray[np.int64],
    options: ScanOptions,
    at_least: float = -np.inf,
) -> Earlier:
    """Find for each row the most similar of the rows before it.

    Args:
        vectors: `(n, d)` float16, canonical; it may be a memory-mapped file.
        uids: `(n, 2)` uint64 of these rows; they break ties.
        order: `(n,)` rows of `vectors`, each once, the first one first. The answer is in this order.
        options: Device, threads and memory; they change no result.
        at_least: The lowest similarity that is looked for. Pairs below it are ruled out by some of their columns, which
            spares most products where it is high.

    Raises:
        DataError: If a row is not finite or too long.
    """
    held = _Held(vectors, uid_ranks(uids)[order], order, replace(options, k=1), at_least)
    few = _FEW if works_on_card(options.device) else len(vectors)
    pending = [(0, len(vectors))]
    while pending:
        first, last = pending.pop()
        if last - first <= few:
            held.within(first, last)
            continue
        middle = (first + last) // 2
        held.across(first, middle, last)
        pending += [(first, middle), (middle, last)]
    return Earlier(held.similarity, held.row)


class _Held:
    """The best that is known of each row so far."""

    def __init__(
        self,
        vectors: NDArray[np.float16],
        ranks: NDArray[np.int64],
        order: NDArray[np.int64],
        options: ScanOptions,
        at_least: float,
    ) -> None:
        self._vectors, self._ranks, self._order, self._options = vectors, ranks, order, options
        self._at_least = at_least
        self.similarity = np.full(len(vectors), -np.inf)
        self.row = np.full(len(vectors), -1, np.int64)

    def within(self, first: int, last: int) -> None:
        """Compare rows with one another, a chunk of earlier ones with chunks of later ones."""
        # Here, since numba takes half a second to load, and a plan's check needs none of it.
        from indexes.lattice.choosing import lattice_of
        from indexes.lattice.nearest_columns import best_of, laid_columns
        from indexes.lattice.points import place

        threads = 1 if (last - first) ** 2 // 2 <= _SMALL else self._options.workers
        lattice = lattice_of(
            *self._bits(np.arange(first, last)[:: -(-(last - first) // _CHUNK)]), self._options.bfloat16
        )
        for start in range(first, last, _CHUNK):
            earlier = np.arange(start, min(start + _CHUNK, last))
            points = place(*self._bits(earlier), lattice, "earlier rows")
            columns = laid_columns(points, lattice, self._ranks[earlier], use="columns of earlier")
            for begin in range(start, last, _CHUNK):
                rows = np.arange(begin, min(begin + _CHUNK, last))
                later = points if begin == start else place(*self._bits(rows), lattice, "later rows")
                least = np.maximum(self.similarity[rows], self._at_least)
                found = best_of(columns, later.some, begin - start, least, threads)
                better = np.flatnonzero(found.column >= 0)
                self._offer(rows[better], found.score[better], earlier[found.column[better]])

    def across(self, first: int, middle: int, last: int) -> None:
        """Search the rows from `middle` on among those before it."""
        for start in range(first, middle, _CHUNK):
            earlier = np.arange(start, min(start + _CHUNK, middle))
            # The search gives ties to the lower position, so positions are in the order of the uids.
            earlier = earlier[np.argsort(self._ranks[earlier])]
            starts = np.array([0, len(earlier)], np.int64)
            packed = Queries(self._taken(earlier), ("earlier",), starts, None)
            scanner = open_scanner(packed, "exact", self._options)
            for begin in range(middle, last, _CHUNK):
                rows = np.arange(begin, min(begin + _CHUNK, last))
                found = scanner.scan(self._taken(rows))
                near = np.flatnonzero(found.similarity[:, 0] >= self._at_least)
                self._offer(rows[near], found.similarity[near, 0], earlier[found.nearest[near, 0]])

    def _bits(self, places: NDArray[np.int64]) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
        from indexes.cpu.packing import padded_rows

        return padded_rows(self._vectors, self._order[places])

    def _taken(self, places: NDArray[np.int64]) -> NDArray[np.float16]:
        return np.asarray(self._vectors[self._order[places]])

    def _offer(
        self, rows: NDArray[np.int64], similarity: NDArray[np.float64], earlier: NDArray[np.int64]
    ) -> None:
        held, known = self.similarity[rows], self.row[rows]
        lower = self._ranks[earlier] < np.where(known < 0, len(self._ranks), self._ranks[known])
        better = (similarity > held) | ((similarity == held) & lower)
        self.similarity[rows[better]] = similarity[better]
        self.row[rows[better]] = earlier[better]
