"""How similar the samples of a group are to one another, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

NORMAL = 1.959963984540054
"""The 97.5 % point of the normal distribution: 95 % lie within ± that."""


def mean_to_others(vectors: NDArray[np.float16]) -> NDArray[np.float64]:
    """Return `(n,)` the mean similarity of each of `(n, d)` float16 unit vectors to the n - 1 others; n is at least 2.

    A product of two is exact in float64, and a sum is rounded once, so the order of the rows changes nothing.
    """
    wide = vectors.astype(np.float64)
    products = wide @ wide.T
    np.fill_diagonal(products, 0.0)
    return np.array([math.fsum(row) / (len(row) - 1) for row in products.tolist()])


def mean_pair(to_others: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean similarity over all pairs of a group, and the half width of its 95 % confidence interval.

    The mean over pairs is the mean of `to_others`. Pairs share samples, so its variance is that of the jackknife over
    samples: leaving out i changes the mean U by 2 (U - h_i) / (n - 2), h_i being the mean of i to the others; hence
    var = (n - 1)/n · 4/(n - 2)² · Σ (h_i - U)² (Arvesen 1969, U-statistics of degree 2). None for fewer than three.
    """
    n = len(to_others)
    mean = math.fsum(to_others) / n
    if n < 3:
        return mean, None
    squares = math.fsum((value - mean) ** 2 for value in to_others)
    return mean, NORMAL * math.sqrt((n - 1) / n * squares) * 2 / (n - 2)


def mean_interval(values: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean of independent values, and the half width of its 95 % interval (normal); None for one value."""
    n = len(values)
    mean = math.fsum(values) / n
    if n < 2:
        return mean, None
    return mean, NORMAL * math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1) / n)
