"""The two nearest centroids of each sample, exactly.

The engine gives the nearest of every segment of queries. So the centroids are cut into about as many segments as each
has centroids: the second nearest is then the best of another segment, or among the few of the nearest one's own, which
are multiplied in float64.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from indexes.brute import similarities
from indexes.errors import BadInputError
from indexes.queries import Queries
from indexes.scanner import ScanOptions
from indexes.search import open_scanner


class TwoNearest:
    """Finds two of k centroids for a stream of samples; ties go to the lower one, in either place.

    Args:
        centroids: `(k, d)` float16, k at least 2.
        levels: `(k,)` float64 that are taken off the products before they are compared, or None.
        options: Device, threads and memory; they change no result.

    Raises:
        BadInputError: If there is one centroid.
    """

    def __init__(
        self, centroids: NDArray[np.float16], levels: NDArray[np.float64] | None, options: ScanOptions
    ) -> None:
        if len(centroids) < 2:
            raise BadInputError(f"{len(centroids)} centroid has no second nearest; take at least 2")
        count = max(2, math.isqrt(len(centroids)))
        self._starts = np.linspace(0, len(centroids), count + 1).astype(np.int64)
        self._centroids, self._levels = centroids, levels
        names = tuple(str(number) for number in range(count))
        queries = Queries(centroids, names, self._starts, levels)
        self._scanner = open_scanner(queries, "exact", replace(options, k=1))

    def find(self, samples: NDArray[np.float16]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Find the nearest and the second nearest centroid of `(n, d)` float16 samples; `(n,)` each."""
        scores = self._scanner.scan(samples)
        value, place = scores.similarity, scores.nearest
        if scores.margin is not None and scores.margin_query is not None:
            value, place = scores.margin, scores.margin_query
        number = place + self._starts[:-1]
        rows, best = np.arange(len(samples)), value.argmax(axis=1)
        first, others = number[rows, best], value.copy()
        others[rows, best] = -np.inf
        beside = others.argmax(axis=1)
        second, reached = number[rows, beside], others[rows, beside]
        for segment in np.unique(best).tolist():
            here = np.flatnonzero(best == segment)
            inside, near = self._inside(samples[here], first[here], segment)
            better = (near > reached[here]) | ((near == reached[here]) & (inside < second[here]))
            second[here] = np.where(better, inside, second[here])
        return first.astype(np.int32), second.astype(np.int32)

    def _inside(
        self, samples: NDArray[np.float16], first: NDArray[np.int64], segment: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Find the best of a segment but for `first`; -inf where that is alone."""
        low, high = self._starts[segment : segment + 2].tolist()
        values = similarities(samples, self._centroids[low:high].astype(np.float64))
        if self._levels is not None:
            values -= self._levels[low:high]
        rows = np.arange(len(samples))
        values[rows, first - low] = -np.inf
        best = values.argmax(axis=1)
        return low + best, values[rows, best]
