"""How unequal the classes of a set are, from how often each occurs."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def gini(counts: NDArray[np.int64]) -> float:
    """Return the Gini coefficient of `(c,)` counts: 0 where all are equal, (c - 1)/c where one class has all.

    G = 2 Σ i·x_(i) / (c Σ x) - (c + 1)/c over the counts in ascending order, classes without a sample included (the
    published values of arXiv 2405.21070 come out so). NaN where nothing was counted.
    """
    ordered = np.sort(counts)
    total, size = int(ordered.sum()), len(ordered)
    if not total:
        return math.nan
    # Whole numbers of Python: a pool of 10^9 samples in 10^5 classes overflows 64 bits.
    values: list[int] = ordered.tolist()
    weighted = sum(place * value for place, value in enumerate(values, 1))
    return 2 * weighted / (size * total) - (size + 1) / size


def expected_distinct(counts: NDArray[np.int64], samples: int, batch: int) -> float:
    """Return how many classes a random batch has on average: Σ 1 - (1 - p)^batch, p = counts / samples.

    Args:
        counts: `(c,)` samples of each class.
        samples: Samples that the batch is drawn from, with replacement; a sample may be of several classes.
        batch: Samples in it.
    """
    shares = [min(count / samples, 1.0) for count in counts.tolist() if count] if samples else []
    return math.fsum(1.0 if p == 1 else -math.expm1(batch * math.log1p(-p)) for p in shares)
