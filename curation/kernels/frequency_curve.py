"""How accuracy follows the frequency of concepts: the published curve, and the rank correlation without bins."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

EDGES = 12


@dataclass(frozen=True, slots=True)
class FrequencyCurve:
    """Accuracy by bins of ln frequency (arXiv 2404.04125; bethgelab/frequency_determines_performance).

    Attributes:
        edges: `(12,)` upper edges of the bins, evenly from the lowest to the highest ln max(count, 1). The first bin
            holds what lies on the lowest alone.
        means: `(12,)` mean accuracy of each; NaN where a bin is empty.
        sizes: `(12,)` concepts in each.
    """

    edges: NDArray[np.float64]
    means: NDArray[np.float64]
    sizes: NDArray[np.int64]

    def pearson(self, first: int = 1, last: int | None = -1) -> float:
        """Correlate edges and means over bins [first:last], without empty ones; NaN for fewer than two.

        [1:-1] is published; [2:-1] for LAION-400M and [0:-4] for SynthCI-30M.
        """
        edges, means = self.edges[first:last], self.means[first:last]
        there = ~np.isnan(means)
        return pearson(edges[there], means[there])


def frequency_curve(counts: NDArray[np.float64], accuracy: NDArray[np.float64]) -> FrequencyCurve:
    """Put concepts into bins.

    Args:
        counts: `(n,)` how often each concept occurs; n is at least 1.
        accuracy: `(n,)` accuracy on each.
    """
    found = np.log(np.maximum(counts, 1))
    edges = np.linspace(found.min(), found.max(), EDGES)
    at = np.minimum(np.digitize(found, edges, right=True), EDGES - 1)
    sizes = np.bincount(at, minlength=EDGES)
    means = [
        math.fsum(accuracy[at == bin_].tolist()) / size if size else math.nan
        for bin_, size in enumerate(sizes)
    ]
    return FrequencyCurve(edges, np.array(means), sizes)


def pearson(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Return Pearson's correlation of `(n,)` values; NaN where one of them does not vary."""
    if len(x) < 2:
        return math.nan
    a, b = x - x.mean(), y - y.mean()
    size = math.sqrt(math.fsum((a * a).tolist())) * math.sqrt(math.fsum((b * b).tolist()))
    return math.fsum((a * b).tolist()) / size if size else math.nan


def spearman(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Return Spearman's rank correlation of `(n,)` values; ties have the mean of their ranks."""
    return pearson(_ranks(x), _ranks(y))


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, at, sizes = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(sizes)
    ranks: NDArray[np.float64] = ((ends - sizes + 1 + ends) / 2)[at]
    return ranks


def misalignment(apart: int, by_text: int, by_image: int) -> float:
    """Return the misalignment degree: samples whose two lists of concepts do not meet, over the larger number tagged.

    Args:
        apart: Samples tagged in both ways whose lists have no concept in common.
        by_text: Samples tagged by their caption.
        by_image: Samples tagged by their image.
    """
    larger = max(by_text, by_image)
    return apart / larger if larger else math.nan
