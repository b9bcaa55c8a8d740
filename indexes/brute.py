"""The plain path: float64 products of everything with everything, for tests and for verifying runs.

Inner products of canonical float16 vectors are exact in float64 (see `indexes.queries.MAX_NORM`), so this
*is* nearfar's similarity and not an approximation of it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from indexes.cpu.kbest import KBest, Offers
from indexes.queries import Queries, check_norms
from indexes.scanner import ScanOptions, check_memory, check_samples, check_uids
from indexes.scores import Neighbours, Scores

EXACT = True


class BruteScanner:
    """Scan by numpy in float64, a bounded block of the score matrix at a time."""

    def __init__(self, queries: Queries, options: ScanOptions) -> None:
        size, width = queries.vectors.shape
        per_row = 8 * (4 * size + 2 * width)
        held = size * (8 * width + 32 * options.k)
        check_memory(held + per_row, options.memory_limit, f"{size} queries of width {width}")
        self._queries = queries
        self._wide = queries.vectors.astype(np.float64)
        self._rows = int(np.clip((options.memory_limit - held) // per_row, 1, 4096))
        self._best = KBest(size, options.k)
        self._count_over = options.count_over
        self._seen = 0

    def scan(self, samples: NDArray[np.float16], uids: NDArray[np.uint64] | None = None) -> Scores:
        """Score one block; see `indexes.scanner.Scanner`."""
        check_samples(samples, self._queries.width)
        check_norms(samples, "sample")
        uids = check_uids(uids, len(samples), self._seen)
        count = len(self._queries.names)
        over = np.zeros((len(samples), count), np.int32) if self._count_over else None
        thresholds = self._queries.thresholds
        similarity, nearest = _empty(len(samples), count)
        margin, margin_query = _empty(len(samples), count)
        for start in range(0, len(samples), self._rows):
            rows = slice(start, min(start + self._rows, len(samples)))
            scores = similarities(samples[rows], self._wide)
            self._remember(scores, uids[rows], self._seen + start)
            similarity[rows], nearest[rows] = self._maxima(scores)
            if thresholds is not None:
                margin[rows], margin_query[rows] = self._maxima(scores - thresholds)
                if over is not None:
                    exceeded = np.add.reduceat(scores > thresholds, self._queries.starts[:-1], 1, np.int32)
                    over[rows] = exceeded
        self._seen += len(samples)
        if thresholds is None:
            return Scores(similarity, nearest, None, None)
        return Scores(similarity, nearest, margin, margin_query, over)

    def neighbours(self) -> Neighbours:
        """List the nearest samples of each query over the stream so far."""
        return self._best.neighbours()

    def _maxima(self, scores: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
        """Largest score per row and segment; `argmax` gives the first, so ties go to the lower position."""
        largest, where = _empty(len(scores), len(self._queries.names))
        for segment, (first, last) in enumerate(
            zip(self._queries.starts, self._queries.starts[1:], strict=False)
        ):
            part = scores[:, first:last]
            where[:, segment] = part.argmax(axis=1)
            largest[:, segment] = part.max(axis=1)
        return largest, where

    def _remember(self, scores: NDArray[np.float64], uids: NDArray[np.uint64], position: int) -> None:
        floor = self._best.floor
        if len(scores) > self._best.k:
            spot = len(scores) - self._best.k
            floor = np.maximum(floor, np.partition(scores, spot, axis=0)[spot])
        row, query = np.nonzero(scores >= floor)
        found = scores[row, query]
        self._best.offer(Offers(query.astype(np.int64), found, uids[row], position + row.astype(np.int64)))


def similarities(samples: NDArray[np.float16], queries: NDArray[np.float64]) -> NDArray[np.float64]:
    """Exact `(n, q)` inner products; adding zero makes -0.0 and 0.0 the same bits."""
    product: NDArray[np.float64] = samples.astype(np.float64) @ queries.T
    return product + 0.0


def open_scanner(queries: Queries, options: ScanOptions) -> BruteScanner:
    """Open the plain float64 scanner."""
    return BruteScanner(queries, options)


def _empty(rows: int, segments: int) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    return np.empty((rows, segments)), np.empty((rows, segments), np.int32)
