"""How far an approximate backend is from exact, measured on a seeded sample of the stream."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexes.queries import Queries
from indexes.scanner import ScanOptions
from indexes.search import open_scanner

_DEFAULTS = ScanOptions()


@dataclass(frozen=True, slots=True)
class Quality:
    """What a report says of an approximate backend.

    Attributes:
        rows: Samples that were compared.
        recall: Share of rows and benchmarks whose nearest query was found (recall@1).
        similarity_error: Largest amount by which a maximum similarity was missed.
        differing_decisions: Rows and benchmarks whose margin lies on the other side of zero.
    """

    rows: int
    recall: float
    similarity_error: float
    differing_decisions: int


def measure_quality(
    queries: Queries,
    backend: str,
    samples: NDArray[np.float16],
    options: ScanOptions = _DEFAULTS,
    rows: int = 1000,
    seed: int = 0,
) -> Quality:
    """Compare a backend with the exact engine on `rows` samples drawn by `seed` from `samples`, `(n, d)` float16."""
    order = np.random.default_rng(seed).permutation(len(samples))[:rows]
    drawn = samples[np.sort(order)]
    found = open_scanner(queries, backend, options).scan(drawn)
    exact = open_scanner(queries, "exact", options).scan(drawn)
    missed = exact.similarity - found.similarity
    differing = 0
    if exact.margin is not None and found.margin is not None:
        differing = int(((exact.margin > 0) != (found.margin > 0)).sum())
    recall = float((missed == 0).mean()) if missed.size else 1.0
    return Quality(len(drawn), recall, float(missed.max(initial=0.0)), differing)
