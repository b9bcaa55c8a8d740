"""The level that few unrelated pairs reach: exact by counting, with an error that comes of the samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.chance_pairs import ENOUGH, RATES, STATED, chance_pairs, level_at


def test_a_level_of_a_known_distribution() -> None:
    """Of the numbers 1 to 1,000 (in thousandths), at most 1 % lie above 0.990, and 0.990 is the lowest such value."""
    values = np.random.default_rng(0).permutation(np.arange(1, 1001)) / 1000
    assert level_at(np.sort(values), 0.01, 1000) == 0.990
    assert level_at(np.sort(values), 0.001, 1000) == 0.999
    assert level_at(np.sort(values), 0.0, 1000) == 1.0


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=60), st.sampled_from([0.0, 0.01, 0.1, 0.25, 0.5]))
def test_no_lower_value_keeps_the_rate(numbers: list[int], rate: float) -> None:
    values = np.array(numbers) / 4
    level = level_at(np.sort(values), rate, len(values))
    assert (values > level).sum() <= rate * len(values) + 1e-9
    lower = values[values < level]
    assert not len(lower) or (values > lower.max()).sum() > rate * len(values)


def test_only_rates_that_so_many_pairs_can_tell() -> None:
    drawn = np.random.default_rng(1).standard_normal((100, 200)) / 10
    found = chance_pairs(drawn)
    assert [level.rate for level in found.levels] == [rate for rate in RATES if rate * 20_000 >= ENOUGH]
    assert found.stated is not None
    assert found.stated.rate == 0.001 > STATED
    few = chance_pairs(drawn[:3, :3])
    assert (few.pairs, few.levels, few.stated) == (9, (), None)


def test_pairs_that_are_left_out_count_nowhere() -> None:
    drawn = np.random.default_rng(2).standard_normal((50, 80)) / 10
    drawn[3, 7] = drawn[4, 9] = 1.0
    known = drawn.copy()
    known[3, 7] = known[4, 9] = np.nan
    found = chance_pairs(known)
    assert (found.pairs, found.left_out, int(found.counts.sum())) == (3998, 2, 3998)
    assert found.quantiles[-1] == np.nanmax(known) < 1.0


def test_the_error_is_that_of_the_samples() -> None:
    """Five queries that see the same 400 samples: their pairs are as sure as 400, not as 2,000."""
    rng = np.random.default_rng(3)
    errors, levels = [], []
    for _ in range(200):
        column = rng.standard_normal(400) / 10
        found = chance_pairs(np.repeat(column[None, :], 5, axis=0))
        errors.append(found.levels[0].error)
        levels.append(found.levels[0].at)
    assert found.levels[0].rate == 0.01
    assert np.median(errors) == pytest.approx(np.std(levels), rel=0.5)
    assert chance_pairs(rng.standard_normal((1000, 4)) / 10).levels[0].error is None, (
        "too few samples to tell"
    )


def test_levels_and_errors_are_those_of_all_pairs_sorted() -> None:
    """Only the highest pairs of each group are sorted; what comes of it is what sorting all of them gives."""
    drawn = np.round(np.random.default_rng(4).standard_normal((60, 83)), 1) / 10
    drawn[::7, ::5] = np.nan

    def sorted_level(similarity: np.ndarray, rate: float) -> float:
        values = np.sort(similarity[~np.isnan(similarity)])
        return float(values[len(values) - 1 - math.floor(rate * len(values) + 1e-9)])

    groups = np.array_split(np.arange(83), 8)
    for level in chance_pairs(drawn).levels:
        assert level.at == sorted_level(drawn, level.rate)
        without = [sorted_level(np.delete(drawn, group, axis=1), level.rate) for group in groups]
        assert level.error == pytest.approx(math.sqrt(7 * np.var(without)), rel=1e-12)
