"""How far an approximate backend is from exact, measured on a seeded sample of the stream."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.queries import Queries
from indexes.scanner import Scanner, ScanOptions, check_uids
from indexes.scores import Neighbours, Scores
from indexes.search import open_scanner

ROWS, SEED = 1000, 0
_Columns = list[NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Quality:
    """What a report says of an approximate backend; counts, so that the parts of a stream add up.

    Attributes:
        rows: Samples that were compared.
        compared: Comparisons: one for each of those rows and benchmark.
        found: Comparisons in which a nearest query was found.
        similarity_error: Largest amount by which a similarity to a benchmark was too low.
        differing_decisions: Comparisons whose margin lies on the other side of zero; None without thresholds.
    """

    rows: int
    compared: int
    found: int
    similarity_error: float
    differing_decisions: int | None

    @property
    def recall(self) -> float | None:
        """Share of comparisons in which a nearest query was found (recall@1); None where there were none."""
        return self.found / self.compared if self.compared else None

    def __add__(self, other: Quality) -> Quality:
        """Put two parts of a stream together."""
        differing = (self.differing_decisions, other.differing_decisions)
        return Quality(
            self.rows + other.rows,
            self.compared + other.compared,
            self.found + other.found,
            max(self.similarity_error, other.similarity_error),
            None if None in differing else sum(count or 0 for count in differing),
        )


class SampledScanner:
    """A scanner that keeps a seeded sample of what another one answers, to compare it with the exact engine.

    The sample is the `rows` uids with the lowest seeded hash: it depends on neither blocks nor workers, and holds no
    more than so many vectors.
    """

    def __init__(self, inner: Scanner, rows: int = ROWS, seed: int = SEED) -> None:
        self._inner, self._rows, self._seed = inner, rows, seed
        self._held: _Columns = []
        self._seen = 0

    def scan(self, samples: NDArray[np.float16], uids: NDArray[np.uint64] | None = None) -> Scores:
        """Score one block of the stream; see `indexes.scanner.Scanner`."""
        uids = check_uids(uids, len(samples), self._seen)
        self._seen += len(samples)
        scores = self._inner.scan(samples, uids)
        columns: _Columns = [_hashes(uids, self._seed), uids, samples, scores.similarity]
        if scores.margin is not None:
            columns.append(scores.margin)
        block = self._lowest(columns)
        if self._held:
            pairs = zip(self._held, block, strict=True)
            block = self._lowest([np.concatenate(pair) for pair in pairs])
        self._held = block
        return scores

    def neighbours(self) -> Neighbours:
        """List the nearest samples of each query over the stream so far."""
        return self._inner.neighbours()

    def quality(self, queries: Queries, options: ScanOptions) -> Quality:
        """Compare the sample's answers with those of the exact engine over the same queries."""
        if not self._held:
            return Quality(0, 0, 0, 0.0, None if queries.thresholds is None else 0)
        _, _, vectors, similarity, *margins = self._held
        exact = open_scanner(queries, "exact", replace(options, k=1)).scan(vectors)
        missed = exact.similarity - similarity
        differing = None
        if exact.margin is not None:
            differing = int(((exact.margin > 0) != (margins[0] > 0)).sum())
        found = int((missed == 0).sum())
        return Quality(len(vectors), missed.size, found, float(missed.max(initial=0.0)), differing)

    def _lowest(self, columns: _Columns) -> _Columns:
        hashes, uids = columns[:2]
        order = np.lexsort((uids[:, 1], uids[:, 0], hashes))[: self._rows]
        return [column[order] for column in columns]


def _hashes(uids: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """Hash `(n, 2)` uids by two rounds of splitmix64's finaliser (Steele et al. 2014)."""
    mixed = np.full(len(uids), seed, np.uint64)
    for half in (uids[:, 0], uids[:, 1]):
        mixed = (mixed ^ half) + np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
    return mixed
