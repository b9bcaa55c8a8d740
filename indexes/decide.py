"""Decisions from exact products of candidate pairs, for the backends whose screens hand over lists."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from indexes.queries import Queries
from indexes.scores import Scores

_NUMBERS = 1 << 22


def exact_pairs(
    samples: NDArray[np.float16],
    vectors: NDArray[np.float16],
    rows: NDArray[np.int64],
    queries: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Compute pairs exactly, a bounded number at a time.

    Args:
        samples: `(n, d)` float16.
        vectors: `(q, d)` float16.
        rows: `(p,)` rows of `samples`.
        queries: `(p,)` rows of `vectors`.

    Returns:
        `(p,)` float64 inner products, without rounding; adding zero makes -0.0 and 0.0 the same bits.
    """
    found = np.empty(len(rows))
    step = max(1, _NUMBERS // samples.shape[1])
    for start in range(0, len(rows), step):
        some = slice(start, start + step)
        left = samples[rows[some]].astype(np.float64)
        found[some] = np.einsum("ij,ij->i", left, vectors[queries[some]].astype(np.float64))
    return found + 0.0


class Maxima:
    """Largest exact value per row and segment, with its packed query; ties go to the lower query."""

    def __init__(self, rows: int, segments: int) -> None:
        self.value = np.full((rows, segments), -np.inf)
        self.query = np.full((rows, segments), np.iinfo(np.int64).max)

    def offer(
        self,
        rows: NDArray[np.int64],
        segment: NDArray[np.int64],
        query: NDArray[np.int64],
        value: NDArray[np.float64],
    ) -> None:
        """Take over pairs that are better than what is held.

        Args:
            rows: `(p,)` rows.
            segment: `(p,)` segments.
            query: `(p,)` packed queries.
            value: `(p,)` exact values.
        """
        order = np.lexsort((query, -value, segment, rows))
        place = rows[order] * self.value.shape[1] + segment[order]
        first = order[np.flatnonzero(np.diff(place, prepend=-1))]
        at = (rows[first], segment[first])
        better = (value[first] > self.value[at]) | (
            (value[first] == self.value[at]) & (query[first] < self.query[at])
        )
        at = (at[0][better], at[1][better])
        self.value[at], self.query[at] = value[first][better], query[first][better]


def as_scores(
    queries: Queries, similarity: Maxima, margin: Maxima | None, over: NDArray[np.int32] | None = None
) -> Scores:
    """Put maxima together as a scan's answer, with positions inside the segments.

    Args:
        queries: The queries.
        similarity: Of similarities, `(n, s)`.
        margin: Of margins, or None without thresholds.
        over: `(n, s)` queries whose threshold is exceeded, or None.
    """
    nearest = queries.positions(similarity.query)
    if margin is None:
        return Scores(similarity.value, nearest, None, None)
    return Scores(similarity.value, nearest, margin.value, queries.positions(margin.query), over)
