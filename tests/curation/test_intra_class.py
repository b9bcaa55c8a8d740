"""Intra-class similarity: the draw, the mean over pairs, its interval; association of attributes; by brute force."""

from __future__ import annotations

import math
from itertools import combinations

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.expressions import hashed
from curation.kernels.association import cramers_v, pmi
from curation.kernels.pairwise import mean_interval, mean_pair, mean_to_others
from curation.measure import Block
from curation.measures.of_class.intra_class import IntraClass, drawn
from indexes.canonical import canonical
from indexes.scanner import ScanOptions


def vectors(rows: int, seed: int = 0) -> np.ndarray:
    return canonical(np.random.default_rng(seed).standard_normal((rows, 8)).astype(np.float32)).vectors


def uids(rows: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 2**63, (rows, 2)).astype(np.uint64)


def test_the_mean_over_a_class_is_that_over_its_pairs() -> None:
    found = vectors(9)
    wide = found.astype(np.float64)
    pairs = [float(wide[a] @ wide[b]) for a, b in combinations(range(9), 2)]
    mean, half = mean_pair(mean_to_others(found).tolist())
    assert mean == pytest.approx(math.fsum(pairs) / len(pairs), abs=1e-15)
    left_out = [
        np.mean([float(wide[a] @ wide[b]) for a, b in combinations([r for r in range(9) if r != out], 2)])
        for out in range(9)
    ]
    jackknife = 8 / 9 * np.sum((np.array(left_out) - np.mean(left_out)) ** 2)
    assert half == pytest.approx(1.959963984540054 * math.sqrt(jackknife), abs=1e-12)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """Classes of a known expected similarity: 0 for vectors drawn evenly on a sphere."""
    rng = np.random.default_rng(3)
    inside = 0
    for _ in range(200):
        drawn_rows = canonical((rng.standard_normal((30, 8)) + 0.7).astype(np.float32)).vectors
        mean, half = mean_pair(mean_to_others(drawn_rows).tolist())
        inside += abs(mean - TRUTH) <= (half or 0)
    assert 180 <= inside <= 200


TRUTH = float(
    np.sum(
        (lambda rows: (rows / np.linalg.norm(rows, axis=1, keepdims=True)).mean(axis=0))(
            np.random.default_rng(5).standard_normal((400_000, 8)) + 0.7
        )
        ** 2
    )
)
"""The expected similarity of two such vectors: the squared length of the mean of the normalised ones."""


def test_few_samples_have_no_interval() -> None:
    assert mean_pair([0.5, 0.5]) == (0.5, None)
    assert mean_interval([0.25]) == (0.25, None)
    mean, half = mean_interval([1.0, 2.0, 3.0, 4.0])
    assert mean == 2.5
    assert half == pytest.approx(1.959963984540054 * np.std([1, 2, 3, 4], ddof=1) / 2)


def test_the_draw_is_that_of_rule_random() -> None:
    found = uids(60)
    names = [f"{high:016x}{low:016x}" for high, low in found.tolist()]
    db = duckdb.connect()
    db.execute("CREATE TABLE t AS SELECT unnest($names)::UUID AS uid", {"names": names})
    lowest = db.execute(f"SELECT uid::VARCHAR FROM t ORDER BY {hashed(7)}, uid LIMIT 20").fetchall()
    wanted = {text.replace("-", "") for (text,) in lowest}
    assert {names[at] for at in drawn(found, 20, 7)} == wanted
    assert drawn(found, 60, 7).tolist() == list(range(60))


@settings(deadline=None)
@given(st.permutations(range(12)), st.integers(2, 12))
def test_order_of_rows_changes_nothing(order: list[int], most: int) -> None:
    rows, names = vectors(12), uids(12)
    measure = IntraClass(most=most)

    def of(places: list[int]) -> dict[int, tuple[float | None, bool]]:
        block = Block(names[places], {"image": rows[places]}, {})
        found = measure.whole(block, ScanOptions(k=1))
        values = zip(found["similarity"].to_pylist(), found["drawn"].tolist(), strict=True)
        return dict(zip(places, values, strict=True))

    assert of(list(range(12))) == of(list(order))
    taken = [value for value, was in of(list(order)).values() if was]
    assert len(taken) == most
    assert None not in taken


def test_a_class_of_one_has_no_similarity() -> None:
    found = IntraClass().whole(Block(uids(1), {"image": vectors(1)}, {}), ScanOptions(k=1))
    assert found["similarity"].to_pylist() == [None]
    assert found["drawn"].tolist() == [True]


def test_association_by_hand() -> None:
    assert pmi(10, 20, 30, 60) == 0
    assert pmi(20, 20, 30, 60) == pytest.approx(math.log(2))
    assert pmi(0, 20, 30, 60) == -math.inf
    assert cramers_v([30, 0], [30, 30]) == pytest.approx(1)
    assert cramers_v([10, 10], [30, 30]) == 0
    assert cramers_v([0, 0], [30, 30]) == 0
    # The table [[20, 10], [5, 25]]: chi-squared is 15.4286 over 60 samples.
    assert cramers_v([20, 5], [30, 30]) == pytest.approx(math.sqrt(15.428571428571429 / 60))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 30)), min_size=2, max_size=8))
def test_cramers_v_is_chi_squared_of_the_table(cells: list[tuple[int, int]]) -> None:
    table = np.array(cells, float)
    having, sizes = table[:, 0], table.sum(axis=1)
    if not 0 < having.sum() < sizes.sum():
        return
    expected = np.outer(sizes, table.sum(axis=0)) / table.sum()
    wanted = math.sqrt(((table - expected) ** 2 / expected).sum() / table.sum())
    found = cramers_v(having.astype(int).tolist(), sizes.astype(int).tolist())
    assert found == pytest.approx(wanted, abs=1e-12)
    assert 0 <= found <= 1 + 1e-12
