"""The audit's arithmetic against counting by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.audit import (
    MARGINS,
    QUANTILES,
    SIMILARITIES,
    FailAbove,
    above_edges,
    exceeded,
    fail_above,
    gap,
    kept_at_edges,
    quantiles,
    rank_medians,
)
from indexes.errors import BadInputError

similarities = st.lists(
    st.one_of(st.floats(-1.004, 1.004), st.integers(-257, 257).map(lambda k: k / 256)),
    min_size=1,
    max_size=60,
)


def test_a_value_on_an_edge_is_not_above_it() -> None:
    edges = SIMILARITIES.edges()
    at = int(np.flatnonzero(edges == 0.75)[0])
    counts = SIMILARITIES.count(np.array([0.75, np.nextafter(0.75, 1), 0.5]))
    assert above_edges(counts)[at] == 1
    assert kept_at_edges(counts)[at] == 2


@given(similarities)
def test_every_edge_splits_the_values_exactly(values: list[float]) -> None:
    array = np.array(values)
    counts = SIMILARITIES.count(array)
    edges = SIMILARITIES.edges()
    assert counts.sum() == len(values)
    assert above_edges(counts).tolist() == [int((array > edge).sum()) for edge in edges]
    assert kept_at_edges(counts).tolist() == [int((array <= edge).sum()) for edge in edges]


def test_bins_hold_every_similarity_and_margin_that_float16_can_give() -> None:
    assert SIMILARITIES.edges()[-1] > 1.0041
    assert MARGINS.edges()[0] < -2 * 1.0041
    assert SIMILARITIES.count(np.array([-5.0, 5.0, np.nan]))[[0, -1]].tolist() == [1, 1]


def test_gap_of_known_values() -> None:
    nearest = np.array([0.25, 0.5, 0.75, 1.0, np.nan])
    found = gap(nearest)
    assert (found.queries, found.answered, found.mean) == (5, 4, 0.625)
    assert dict(zip(QUANTILES, found.quantiles, strict=True)) == {
        0.0: 0.25, 0.01: 0.25, 0.05: 0.25, 0.25: 0.25, 0.5: 0.5, 0.75: 0.75, 0.95: 1.0, 0.99: 1.0, 1.0: 1.0,
    }  # fmt: skip
    assert found.curve()[SIMILARITIES.edges() == 0.5].tolist() == [2 / 5]


def test_gap_of_an_empty_set_has_no_numbers() -> None:
    found = gap(np.full(3, np.nan))
    assert (found.answered, found.mean, found.quantiles) == (0, None, ())
    assert not found.curve().any()
    assert quantiles(np.array([])) == ()


@given(similarities)
def test_quantiles_are_observed_values_in_order(values: list[float]) -> None:
    found = quantiles(np.array(values))
    assert set(found) <= set(values)
    assert list(found) == sorted(found)
    assert (found[0], found[-1]) == (min(values), max(values))


def test_rank_medians_stop_where_a_query_has_no_more() -> None:
    ranks = np.array([1, 1, 1, 2, 2, 2, 3, 3])
    similarity = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2])
    assert rank_medians(3, ranks, similarity) == (0.8, 0.5)
    assert rank_medians(3, ranks[:0], similarity[:0]) == ()


def test_fail_above_parses_both_forms() -> None:
    assert fail_above("0.95") == FailAbove(0.95, 0.0)
    assert fail_above("0.9:0.01") == FailAbove(0.9, 0.01)
    assert fail_above("-1:1") == FailAbove(-1.0, 1.0)


@pytest.mark.parametrize(
    "spec", ["", "x", "0.9:", "0.9:x", "0.9:2", "1.5", "nan", "0.9:-0.1", "inf", "0.9:0.1:0.1"]
)
def test_fail_above_says_what_it_takes(spec: str) -> None:
    with pytest.raises(BadInputError, match="SIM or SIM:SHARE") as caught:
        fail_above(spec)
    assert f"'{spec}'" in str(caught.value)


def test_only_benchmarks_over_the_share_fail() -> None:
    nearest = {
        "none": np.array([0.5, 0.95]),
        "one": np.array([0.5, math.nextafter(0.95, 1)]),
        "both": np.array([0.96, 0.99]),
    }
    failed = exceeded(fail_above("0.95"), nearest)
    assert [(f.benchmark, f.above, f.share) for f in failed] == [("one", 1, 0.5), ("both", 2, 1.0)]
    assert [f.benchmark for f in exceeded(fail_above("0.95:0.5"), nearest)] == ["both"]
    assert exceeded(fail_above("0.95:1"), nearest) == ()
