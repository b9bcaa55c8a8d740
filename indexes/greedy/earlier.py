"""Each row's most similar earlier row, exactly: what a greedy choice over an order of rows looks at.

Rows are halved: the later half is searched among the earlier one by the exact engine, then each half by itself, down to
a few rows, which are multiplied in float64. So half of all pairs are screened in the engine's fast arithmetic and the
answers are exact; memory holds blocks, however many rows there are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from indexes.queries import Queries
from indexes.scanner import ScanOptions
from indexes.search import open_scanner

# Below this many rows float64 products are faster than opening a search.
_FEW = 128
_SMALL = 1 << 22
"""Pairs of rows that one thread searches: to start and join others takes longer."""
_TILE = 16
_QUERIES, _SAMPLES = 1 << 15, 1 << 15
"""Earlier and later rows that are compared at a time."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """For each row of an order, the most similar row before it.

    Attributes:
        similarity: `(n,)` float64, exact inner product, higher is closer; -inf for the first row.
        row: `(n,)` int64, position of that row in the order; ties go to the lower uid; -1 for the first row.
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
) -> Earlier:
    """Find for each row the most similar of the rows before it.

    Args:
        vectors: `(n, d)` float16, canonical; it may be a memory-mapped file.
        uids: `(n, 2)` uint64 of these rows; they break ties.
        order: `(n,)` rows of `vectors`, each once, the first one first. The answer is in this order.
        options: Device, threads and memory; they change no result.
    """
    held = _Held(vectors, uid_ranks(uids)[order], order, replace(options, k=1))
    pending = [(0, len(vectors))]
    while pending:
        first, last = pending.pop()
        if last - first <= _FEW:
            held.within(first, last)
            continue
        middle = (first + last) // 2
        held.across(first, middle, last)
        pending += [(first, middle), (middle, last)]
    return Earlier(held.similarity, held.row)


def _square(vectors: NDArray[np.float16], columns: NDArray[np.int64]) -> NDArray[np.float64]:
    """Exact products of a few rows with one another, the columns in another order.

    Tile by tile: products as small as these are not spread over threads, which would wait for one another.
    """
    count, width = vectors.shape
    tiles = -(-count // _TILE)
    wide = np.zeros((2, tiles * _TILE, width))
    wide[0, :count], wide[1, :count] = vectors, vectors[columns]
    left, right = wide.reshape(2, tiles, _TILE, width)
    found = left[:, None] @ right.transpose(0, 2, 1)[None]
    products: NDArray[np.float64] = found.transpose(0, 2, 1, 3).reshape(tiles * _TILE, -1)[:count, :count]
    return products + 0.0


class _Held:
    """The best that is known of each row so far."""

    def __init__(
        self,
        vectors: NDArray[np.float16],
        ranks: NDArray[np.int64],
        order: NDArray[np.int64],
        options: ScanOptions,
    ) -> None:
        self._vectors, self._ranks, self._order, self._options = vectors, ranks, order, options
        self.similarity = np.full(len(vectors), -np.inf)
        self.row = np.full(len(vectors), -1, np.int64)

    def within(self, first: int, last: int) -> None:
        """Compare a few rows with one another."""
        if last - first < 2:
            return
        vectors = self._taken(np.arange(first, last))
        by_uid = np.argsort(self._ranks[first:last])
        products = _square(vectors, by_uid)
        products[by_uid[None, :] >= np.arange(last - first)[:, None]] = -np.inf
        best = products.argmax(axis=1)
        later = np.arange(1, last - first)
        self._offer(first + later, products[later, best[later]], first + by_uid[best[later]])

    def across(self, first: int, middle: int, last: int) -> None:
        """Search the rows from `middle` on among those before it."""
        small = (middle - first) * (last - middle) <= _SMALL
        options = replace(self._options, threads=1) if small else self._options
        for start in range(first, middle, _QUERIES):
            earlier = np.arange(start, min(start + _QUERIES, middle))
            # The search gives ties to the lower position, so positions are in the order of the uids.
            earlier = earlier[np.argsort(self._ranks[earlier])]
            starts = np.array([0, len(earlier)], np.int64)
            packed = Queries(self._taken(earlier), ("earlier",), starts, None)
            scanner = open_scanner(packed, "exact", options)
            for begin in range(middle, last, _SAMPLES):
                rows = np.arange(begin, min(begin + _SAMPLES, last))
                found = scanner.scan(self._taken(rows))
                self._offer(rows, found.similarity[:, 0], earlier[found.nearest[:, 0]])

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
