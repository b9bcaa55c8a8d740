"""Arithmetic of an audit: how near a pool comes to each query, and what a threshold would keep.

Everything here counts exactly. Bin edges are multiples of 2**-8, so that `similarity * 256` has no rounding
and a value on an edge always falls on the same side; "above t" is strict everywhere, as in the near rule (a
sample whose similarity equals the threshold stays). Similarity is a cosine in [-1, 1], higher is nearer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.errors import BadInputError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

STEPS_PER_UNIT = 256
QUANTILES: tuple[float, ...] = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)


@dataclass(frozen=True, slots=True)
class Grid:
    """Fixed bin edges from `-reach / 256` to `reach / 256`; bin j holds `(edge j, edge j + 1]`."""

    reach: int

    def edges(self) -> FloatArray:
        """List the `(2 * reach + 1,)` edges, ascending."""
        return np.arange(-self.reach, self.reach + 1, dtype=np.float64) / STEPS_PER_UNIT

    def count(self, values: FloatArray) -> IntArray:
        """Count finite values per bin; what lies outside the edges goes to the outermost bins.

        Args:
            values: `(n,)` similarities or margins. NaN is not counted.

        Returns:
            `(2 * reach,)` counts that add up to the number of values that are not NaN.
        """
        missing = np.isnan(values)
        upper = (values[~missing] if missing.any() else values) * STEPS_PER_UNIT
        np.ceil(upper, out=upper)
        np.clip(upper, 1 - self.reach, self.reach, out=upper)
        upper += self.reach - 1
        return np.bincount(upper.astype(np.int64), minlength=2 * self.reach).astype(np.int64)

    def described(self, counts: IntArray) -> dict[str, Any]:
        """Write bin counts as JSON, without empty bins at either end; bin j holds `(first + j * step, … + step]`."""
        filled = np.flatnonzero(counts)
        if not len(filled):
            return {"first": 0.0, "step": 1 / STEPS_PER_UNIT, "counts": []}
        start, stop = int(filled[0]), int(filled[-1]) + 1
        first = float(self.edges()[start])
        return {"first": first, "step": 1 / STEPS_PER_UNIT, "counts": counts[start:stop].tolist()}


# float16 rounding lets a unit vector's norm reach 1.002, so a similarity can be 1.0041, a margin twice that.
SIMILARITIES = Grid(258)
MARGINS = Grid(516)


@dataclass(frozen=True, slots=True)
class Gap:
    """The similarity gap of a set to a benchmark: each query's similarity to its nearest sample of the set.

    Attributes:
        queries: Queries of the benchmark.
        answered: Queries for which the set has any sample.
        mean: Mean over the answered queries; None if there are none.
        quantiles: Values of answered queries at `QUANTILES` (an observed value, never an interpolated one).
        counts: `(516,)` answered queries per bin of `SIMILARITIES`.
    """

    queries: int
    answered: int
    mean: float | None
    quantiles: tuple[float, ...]
    counts: IntArray

    def curve(self) -> FloatArray:
        """Compute the share of all queries whose nearest sample is above each edge, `(517,)`."""
        return above_edges(self.counts) / max(self.queries, 1)


def gap(nearest: FloatArray) -> Gap:
    """Summarise `(q,)` nearest similarities, NaN where a query has no sample at all."""
    present = nearest[~np.isnan(nearest)]
    answered = len(present)
    mean = math.fsum(present) / answered if answered else None
    return Gap(len(nearest), answered, mean, quantiles(present), SIMILARITIES.count(nearest))


def quantiles(values: FloatArray) -> tuple[float, ...]:
    """Find the observed values at `QUANTILES` among `(n,)` values; nothing for no values."""
    if not len(values):
        return ()
    return tuple(float(v) for v in np.quantile(values, QUANTILES, method="inverted_cdf"))


def above_edges(counts: IntArray) -> IntArray:
    """Turn `(b,)` bin counts into the `(b + 1,)` number of values strictly above each edge."""
    return np.concatenate([counts[::-1].cumsum()[::-1], [0]])


def kept_at_edges(counts: IntArray) -> IntArray:
    """Turn `(b,)` bin counts of a pool's similarities into how many samples stay if near-pruned at each edge.

    A sample is dropped iff its similarity is strictly above the threshold (Mayilvahanan et al. 2024, section
    3). On `MARGINS` the edges are offsets that are added to every query's own threshold.
    """
    return np.concatenate([[0], counts.cumsum()])


def count_above(nearest: FloatArray, threshold: float | FloatArray) -> int:
    """Count queries whose nearest similarity is strictly above the threshold; NaN is above nothing.

    Args:
        nearest: `(q,)` similarity of each query's nearest sample, NaN where it has none.
        threshold: One for all queries, or `(q,)`.
    """
    return int(np.count_nonzero(nearest > threshold))


def rank_medians(queries: int, ranks: NDArray[Any], similarity: FloatArray) -> tuple[float, ...]:
    """Compute the median similarity of the nearest, second nearest, … sample over the queries.

    Args:
        queries: Queries of the benchmark.
        ranks: `(n,)` rank of each neighbour, 1 is the nearest.
        similarity: `(n,)` its similarity.

    Returns:
        One median per rank, up to the last rank that every query has (later ones would describe a few).
    """
    medians: list[float] = []
    for rank in range(1, int(ranks.max(initial=0)) + 1):
        values = similarity[ranks == rank]
        if len(values) < queries:
            break
        medians.append(float(np.quantile(values, 0.5, method="inverted_cdf")))
    return tuple(medians)


@dataclass(frozen=True, slots=True)
class FailAbove:
    """When an audit fails: more than `share` of a benchmark's queries have a sample above `similarity`."""

    similarity: float
    share: float = 0.0


@dataclass(frozen=True, slots=True)
class Exceeded:
    """One benchmark that failed the check."""

    benchmark: str
    queries: int
    above: int

    @property
    def share(self) -> float:
        """Share of the benchmark's queries that have a sample above the similarity."""
        return self.above / max(self.queries, 1)


def fail_above(spec: str) -> FailAbove:
    """Parse `SIM` or `SIM:SHARE`, as `--fail-above` takes it.

    Raises:
        BadInputError: If either is no number, or lies outside its range.
    """
    similarity, colon, share = spec.partition(":")
    try:
        parsed = FailAbove(float(similarity), float(share) if colon else 0.0)
    except ValueError:
        raise _bad_spec(spec) from None
    if not (-1 <= parsed.similarity <= 1 and 0 <= parsed.share <= 1):
        raise _bad_spec(spec)
    return parsed


def _bad_spec(spec: str) -> BadInputError:
    return BadInputError(
        f"--fail-above got '{spec[:80]}'; it takes SIM or SIM:SHARE, SIM in [-1, 1] and SHARE in [0, 1]; for "
        "instance 0.95 (any query above it fails) or 0.95:0.01 (more than 1 % of a benchmark's queries)"
    )


def exceeded(rule: FailAbove, nearest: Mapping[str, FloatArray]) -> tuple[Exceeded, ...]:
    """List the benchmarks that fail, in the order given.

    Args:
        rule: The parsed `--fail-above`.
        nearest: Per benchmark, `(q,)` similarities of each query's nearest pool sample (NaN: no sample).
    """
    return tuple(found for found in _each(rule, nearest.items()) if found.share > rule.share)


def _each(rule: FailAbove, nearest: Iterable[tuple[str, FloatArray]]) -> Iterable[Exceeded]:
    for benchmark, values in nearest:
        yield Exceeded(benchmark, len(values), count_above(values, rule.similarity))
