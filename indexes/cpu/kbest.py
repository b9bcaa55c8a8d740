"""The k nearest samples of each query over a stream, from sparse offers of exact similarities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexes.scores import Neighbours


@dataclass(frozen=True, slots=True)
class Offers:
    """Pairs of query and sample that may be among the nearest, with exact similarities.

    Attributes:
        query: `(m,)` int64 packed query positions.
        similarity: `(m,)` float64.
        uids: `(m, 2)` uint64.
        position: `(m,)` int64 stream positions.
    """

    query: NDArray[np.int64]
    similarity: NDArray[np.float64]
    uids: NDArray[np.uint64]
    position: NDArray[np.int64]


class KBest:
    """Running k best per query: similarity descending, uid ascending, stream position ascending."""

    def __init__(self, queries: int, k: int) -> None:
        self.k = k
        self._similarity = np.full((queries, k), -np.inf)
        self._uids = np.zeros((queries, k, 2), np.uint64)
        self._position = np.full((queries, k), -1, np.int64)

    @property
    def floor(self) -> NDArray[np.float64]:
        """`(q,)` similarity below which a sample cannot enter; -inf while there is room."""
        return self._similarity[:, -1]

    def offer(self, offers: Offers) -> None:
        """Merge `(m,)` new pairs in; a pair must be offered once."""
        touched = np.unique(offers.query)
        if not len(touched):
            return
        held = np.nonzero(self._position[touched] >= 0)
        rows = touched[held[0]]
        query = np.concatenate([rows, offers.query])
        similarity = np.concatenate([self._similarity[rows, held[1]], offers.similarity])
        uids = np.concatenate([self._uids[rows, held[1]], offers.uids])
        position = np.concatenate([self._position[rows, held[1]], offers.position])
        order = np.lexsort((position, uids[:, 1], uids[:, 0], -similarity, query))
        query = query[order]
        rank = np.arange(len(query)) - np.searchsorted(query, query)
        kept = rank < self.k
        order, query, rank = order[kept], query[kept], rank[kept]
        self._similarity[query, rank] = similarity[order]
        self._uids[query, rank] = uids[order]
        self._position[query, rank] = position[order]

    def neighbours(self) -> Neighbours:
        """Copy what is held: `(q, k)` similarities, uids and positions."""
        return Neighbours(self._similarity.copy(), self._uids.copy(), self._position.copy())
