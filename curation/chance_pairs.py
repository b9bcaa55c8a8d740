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


def level_at(highest: FloatArray, rate: float, count: int) -> float:
    """Find the lowest observed value that at most `rate` of `count` values lie strictly above.

    Args:
        highest: `(m,)` the highest of the values, ascending; more than `rate` of them.
        rate: That share.
        count: How many values there are; not zero.
    """
    return float(highest[len(highest) - 1 - _may_lie_above(rate, count)])


def _may_lie_above(rate: float, count: int) -> int:
    return math.floor(rate * count + 1e-9)


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
    levels = _levels(similarity, rates) if rates else ()
    counts = SIMILARITIES.count(values)
    return ChancePairs(queries, samples, len(values), int(left_out.sum()), quantiles(values), counts, levels)


def _levels(similarity: FloatArray, rates: list[float]) -> tuple[ChanceLevel, ...]:
    """Find the level of each rate, and its standard error: one group of samples is left out after the other.

    A level lies among the highest values that the largest rate lets lie above it, and so among those of each group.
    """
    groups = [values[~np.isnan(values)] for values in np.array_split(similarity, GROUPS, axis=1)]
    count = sum(map(len, groups))
    highest = [_highest(values, 1 + _may_lie_above(max(rates), count)) for values in groups]
    everything = np.sort(np.concatenate(highest))
    found = [level_at(everything, rate, count) for rate in rates]
    errors: list[float | None] = [None] * len(rates)
    if similarity.shape[1] >= 2 * GROUPS and count not in map(len, groups):
        without = []
        for number, values in enumerate(groups):
            rest = np.sort(np.concatenate(highest[:number] + highest[number + 1 :]))
            without.append([level_at(rest, rate, count - len(values)) for rate in rates])
        errors = [_error(levels) for levels in zip(*without, strict=True)]
    return tuple(ChanceLevel(*one) for one in zip(rates, found, errors, strict=True))


def _highest(values: FloatArray, most: int) -> FloatArray:
    """Take the `most` highest of `(n,)` values, or all."""
    return values if len(values) <= most else np.partition(values, len(values) - most)[-most:]


def _error(levels: tuple[float, ...]) -> float:
    """Estimate the standard error of a level from those without one group each."""
    mean = math.fsum(levels) / GROUPS
    return math.sqrt((GROUPS - 1) / GROUPS * math.fsum((level - mean) ** 2 for level in levels))
