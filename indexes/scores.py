"""What a scan says: scores per sample, and the nearest samples per query."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Scores:
    """One block of samples against `s` benchmarks; ties go to the lower query position.

    Attributes:
        similarity: `(n, s)` float64, largest cosine similarity to a query of the benchmark, exact.
        nearest: `(n, s)` int32, position of that query inside the benchmark.
        margin: `(n, s)` float64, largest similarity − that query's threshold; None without thresholds.
        margin_query: `(n, s)` int32, position of that query inside the benchmark.
        over: `(n, s)` int32, number of queries whose threshold the sample exceeds, strictly; None unless asked for.
    """

    similarity: NDArray[np.float64]
    nearest: NDArray[np.int32]
    margin: NDArray[np.float64] | None
    margin_query: NDArray[np.int32] | None
    over: NDArray[np.int32] | None = None


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The `k` nearest samples of each query: similarity descending, then uid, then stream position ascending.

    Attributes:
        similarity: `(q, k)` float64, padded with -inf where the stream was shorter than `k`.
        uids: `(q, k, 2)` uint64, high and low half; without uids `(0, stream position)`; padding is 0.
        position: `(q, k)` int64, position in the stream, padded with -1.
    """

    similarity: NDArray[np.float64]
    uids: NDArray[np.uint64]
    position: NDArray[np.int64]
