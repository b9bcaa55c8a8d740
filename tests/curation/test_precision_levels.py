"""Wilson's bound, and that a proven level is what it says."""

from __future__ import annotations

import numpy as np
import pytest

from curation.kernels.heads.precision_levels import TURNS, needed, proven_level, wilson_lower


@pytest.mark.parametrize(
    ("right", "of", "bound"),
    # Newcombe (1998), table I, method 3.
    [(81, 263, 0.2553), (15, 148, 0.0624), (0, 20, 0.0), (1, 29, 0.0061)],
)
def test_wilson_gives_published_intervals(right: int, of: int, bound: float) -> None:
    assert wilson_lower(right, of) == pytest.approx(bound, abs=5e-5)


def test_wilson_solves_its_equation() -> None:
    for right, of in [(3, 7), (50, 60), (999, 1000)]:
        x, share = wilson_lower(right, of), right / of
        assert (share - x) ** 2 == pytest.approx(1.959963984540054**2 * x * (1 - x) / of, rel=1e-9)
    assert wilson_lower(0, 0) == 0.0


@pytest.mark.parametrize("precision", [0.05, 0.5, 0.8, 0.9, 0.95, 0.98, 0.999])
def test_needed_is_the_fewest(precision: float) -> None:
    count = needed(precision)
    assert wilson_lower(count, count) >= precision
    assert count == 1 or wilson_lower(count - 1, count - 1) < precision


def test_all_are_taken_where_all_are_right_and_none_where_none_is() -> None:
    sureness = np.linspace(0.4, 1, 200)
    every = proven_level(sureness, np.ones(200, bool), 0.95)
    assert (every.level, every.taken, every.right) == (0.4, 200, 200)
    none = proven_level(sureness, np.zeros(200, bool), 0.95)
    assert none.level is None
    assert none.right == 0
    assert proven_level(np.empty(0), np.empty(0, bool), 0.95).level is None
    few = needed(0.95) - 1
    assert proven_level(sureness[:few], np.ones(few, bool), 0.95).level is None
    assert proven_level(sureness[: few + 1], np.ones(few + 1, bool), 0.95).level == sureness[0]


def test_levels_fall_until_the_first_that_fails() -> None:
    """The surest 400 are right, the others are not: the last level that holds, of those that are tried."""
    sureness, right = np.linspace(1, 0, 1000), np.arange(1000) < 400
    found = proven_level(sureness, right, 0.9)
    holds = [n for n in range(1000 // TURNS, 1001, 1000 // TURNS) if wilson_lower(min(n, 400), n) >= 0.9]
    assert found.taken == max(holds) == 400
    assert found.level == sureness[399]
    assert found.bound == wilson_lower(400, 400)


def test_answers_that_are_equally_sure_are_taken_together() -> None:
    found = proven_level(np.repeat([0.9, 0.6], [150, 50]), np.repeat([True, False], [150, 50]), 0.9)
    assert (found.level, found.taken) == (0.9, 150)
    order = np.random.default_rng(0).permutation(200)
    right, sureness = np.repeat([True, False], [150, 50]), np.repeat([0.9, 0.6], [150, 50])
    assert proven_level(sureness[order], right[order], 0.9) == found


@pytest.mark.parametrize("truth", [0.84, 0.9, 0.95])
def test_a_level_that_is_proven_falsely_is_rare(truth: float) -> None:
    """Answers of one precision, a hair below what is asked for: whatever level is proven is false."""
    rng = np.random.default_rng(3)
    sureness = np.sort(rng.random(800))[::-1]
    draws = rng.random((600, 800)) < truth
    false = np.mean([proven_level(sureness, right, truth + 1e-6).level is not None for right in draws])
    assert false <= 0.05
    # Where levels are looked through for the best of them, some is passed falsely far more often.
    looked = [_any_passes(np.cumsum(right), truth) for right in draws[:200]]
    assert np.mean(looked) > 2 * false


def _any_passes(wins: np.ndarray, asked: float) -> bool:
    return any(wilson_lower(int(wins[n - 1]), n) >= asked for n in range(20, 801))
