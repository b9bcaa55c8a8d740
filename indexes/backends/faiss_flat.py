"""FAISS's exhaustive index as the screen: lists are widened until no pair outside can decide anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.backends._faiss_search import (
    GPU_MOST,
    Candidates,
    FaissScanner,
    Floats,
    check_device,
    on_host,
    placed,
)
from indexes.faiss_library import load_faiss
from indexes.queries import Queries
from indexes.scanner import ScanOptions

__all__ = ["EXACT", "check_device", "open_scanner"]

EXACT = True
FEW = 8


def flat(vectors: NDArray[np.float32]) -> Any:
    """Index `(n, d)` vectors exhaustively by inner product."""
    faiss = load_faiss()
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(np.ascontiguousarray(vectors))
    return index


class FaissFlatScanner(FaissScanner):
    """FAISS screens in float32; decisions equal float64's."""

    def best_few(self, vectors: Floats, kind: int, segment: int) -> Candidates:
        """Every pair within twice the error bound of its row's largest score, or over a threshold to be counted.

        Arguments and answer as in `FaissScanner.best_few`: `(n, d)` float32 in, pairs out.
        """
        error = screen_error(vectors, self._longest(kind))

        def cut(scores: Floats, rows: NDArray[np.int64]) -> NDArray[np.float64]:
            cuts: NDArray[np.float64] = scores[:, 0].astype(np.float64) - 2 * error
            return np.minimum(cuts, -error) if kind == 1 and self._options.count_over else cuts

        return certified(self._indexes[kind][segment], vectors, cut, 2)

    def nearest_samples(self, block: NDArray[np.float16], floor: NDArray[np.float64]) -> Candidates:
        """Every pair that may be among the nearest of its query: `(n, d)` float16 and `(q,)` floors in, pairs out."""
        wide = self._queries.vectors.astype(np.float32)
        error = screen_error(block.astype(np.float32), self._longest(0))
        k = self._options.k

        def cut(scores: Floats, rows: NDArray[np.int64]) -> NDArray[np.float64]:
            cuts: NDArray[np.float64] = floor[rows] - error
            if scores.shape[1] >= k:
                np.maximum(cuts, scores[:, k - 1].astype(np.float64) - 2 * error, out=cuts)
            return cuts

        found = certified(placed(flat(block.astype(np.float32)), self._options.device), wide, cut, k)
        return Candidates(found.queries, found.rows)

    def _longest(self, kind: int) -> float:
        longest, steepest = _longest_row(self._queries.vectors.astype(np.float32)), 0.0
        if kind == 1 and self._queries.thresholds is not None:
            steepest = float(np.abs(self._queries.thresholds).max())
        return float(np.hypot(longest, steepest))


def certified(
    index: Any, vectors: Floats, cut: Callable[[Floats, NDArray[np.int64]], NDArray[np.float64]], atleast: int
) -> Candidates:
    """Pairs at or above each row's cut, none missing.

    A row's list is complete once its last score lies below the cut (or it holds the whole index); rows whose list is
    not complete are searched again with a list four times as long.

    Args:
        index: FAISS index, searched for its best.
        vectors: `(n, d)` float32.
        cut: Gives the cuts from `(m, size)` scores and the `(m,)` rows that they are of.
        atleast: Length of the first lists.
    """
    rows, size = np.arange(len(vectors)), min(atleast + FEW, index.ntotal)
    found: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    while len(rows):
        index = on_host(index) if size > GPU_MOST else index
        scores, places = index.search(np.ascontiguousarray(vectors[rows]), size)
        cuts = cut(scores, rows)
        complete = (scores[:, -1] < cuts) | (size == index.ntotal)
        row, column = np.nonzero((scores >= cuts[:, None]) & complete[:, None])
        found.append((rows[row], places[row, column]))
        rows, size = rows[~complete], min(4 * size, index.ntotal)
    if not found:
        return Candidates(np.empty(0, np.int64), np.empty(0, np.int64))
    return Candidates(np.concatenate([r for r, _ in found]), np.concatenate([p for _, p in found]))


def screen_error(samples: Floats, longest: float) -> float:
    """Bound FAISS's error for `(n, d)` samples: float32 products, sums in any order, thresholds and comparisons."""
    steps = (2 * samples.shape[1] + 4) * 2.0**-23
    reach = _longest_row(samples) * longest
    return float(steps / (1 - steps) * reach + 2.0**-20 * (reach + longest + 1))


def _longest_row(rows: Floats) -> float:
    squares = np.einsum("ij,ij->i", rows, rows)
    return float(np.sqrt(squares.max(initial=0.0))) * (1 + 2.0**-8)


def open_scanner(queries: Queries, options: ScanOptions) -> FaissFlatScanner:
    """Open the scanner over exhaustive indexes."""
    return FaissFlatScanner(queries, options, flat)
