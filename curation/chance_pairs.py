"""How alike unrelated pairs are for an encoder, and the level that few of them reach.

A similarity of 0.95 means nothing by itself: one encoder gives it to copies alone, another to any two drawings. So
pairs of a query and a pool sample are drawn, which are unrelated but for a few, and their similarities say how high a
level must be (METHODS of the audit: the level that keeps a stated rate of false pairs). Related pairs that are among
the drawn ones can only raise a level; pairs of equal bytes are left out by who draws.

Pairs that share a sample are not independent, so the error of a level is that of the samples: the jackknife over
groups of them (Efron and Stein 1981, equation 1.3, with a group in place of a sample).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from curation.audit import SIMILARITIES, FloatArray, IntArray, quantiles

RATES = (0.01, 0.001, 0.0001, 0.00001, 0.000001)
"""Shares of unrelated pairs that may lie above a level."""
STATED = 0.0001
"""The rate that a report names first: one pair in ten thousand."""
ENOUGH = 10
"""A level is given for a rate only where so many of the drawn pairs may lie above it."""
GROUPS = 8


@dataclass(frozen=True, slots=True)
class ChanceLevel:
    """The lowest observed similarity that at most a share of `rate` of the pairs lies strictly above.

    Attributes:
        rate: That share.
        at: The similarity.
        error: Its standard error by the draw of samples; None where there are too few samples to tell.
    """

    rate: float
    at: float
    error: float | None


@dataclass(frozen=True, slots=True)
class ChancePairs:
    """The similarity of the drawn pairs of one benchmark.

    Attributes:
        queries: Queries that were drawn.
        samples: Pool samples that were drawn.
        pairs: Pairs of both, without those of equal bytes.
        left_out: Pairs of equal bytes.
        quantiles: Observed values at `curation.audit.QUANTILES`.
        counts: `(516,)` pairs per bin of `SIMILARITIES`.
        levels: The levels for those of `RATES` that the draw can tell, highest rate first.
    """

    queries: int
    samples: int
    pairs: int
    left_out: int
    quantiles: tuple[float, ...]
    counts: IntArray
    levels: tuple[ChanceLevel, ...]

    @property
    def stated(self) -> ChanceLevel | None:
        """The level of the stated rate, or of the smallest rate that the draw can tell; None where it tells none."""
        told = [level for level in self.levels if level.rate >= STATED]
        return told[-1] if told else None


def level_at(similarity: FloatArray, rate: float) -> float:
    """Find the lowest observed value that at most `rate` of `(n,)` values lie strictly above; `n` is not zero."""
    may_lie_above = math.floor(rate * len(similarity) + 1e-9)
    place = len(similarity) - 1 - may_lie_above
    return float(np.partition(similarity, place)[place])


def chance_pairs(similarity: FloatArray) -> ChancePairs:
    """Describe the similarities of drawn pairs.

    Args:
        similarity: `(q, s)` of each drawn query and sample; NaN for a pair that is left out. The samples stand in the
            order of the draw, so that any run of them is a draw of its own.
    """
    queries, samples = similarity.shape
    left_out = np.isnan(similarity)
    values = similarity[~left_out]
    rates = [rate for rate in RATES if rate * len(values) >= ENOUGH]
    levels = tuple(ChanceLevel(rate, level_at(values, rate), _error(similarity, rate)) for rate in rates)
    counts = SIMILARITIES.count(values)
    return ChancePairs(queries, samples, len(values), int(left_out.sum()), quantiles(values), counts, levels)


def _error(similarity: FloatArray, rate: float) -> float | None:
    """Estimate the standard error of a level: leave out one group of samples after the other."""
    groups = np.array_split(np.arange(similarity.shape[1]), GROUPS)
    if any(len(group) < 2 for group in groups):
        return None
    found = []
    for group in groups:
        rest = np.delete(similarity, group, axis=1)
        found.append(level_at(rest[~np.isnan(rest)], rate))
    mean = math.fsum(found) / GROUPS
    return math.sqrt((GROUPS - 1) / GROUPS * math.fsum((level - mean) ** 2 for level in found))
