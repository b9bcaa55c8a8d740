"""How unequal classes are: the published values over the published counts, and by hand."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.kernels.class_counts import expected_distinct, gini

# Totals and Gini as arXiv 2405.21070 gives them.
PUBLISHED = {
    "cc12m": (4_004_439, 0.80),
    "yfcc15m": (3_418_328, 0.83),
    "laion400m": (93_654_164, 0.80),
    "laion2b": (551_192_835, 0.80),
    "metaclip_400m": (27_917_371, 0.66),
    "incaps": (448_896, 0.22),
    "laionet_thresh0.7": (3_256_561, 0.79),
}


@pytest.fixture(scope="module")
def published() -> Path:
    root = os.environ.get("NEARFAR_REAL_DATA")
    if not root:
        pytest.skip("NEARFAR_REAL_DATA is not set: the published class counts are not here")
    return Path(root) / "class_frequency"


def counts(path: Path) -> np.ndarray:
    lines = path.read_text(encoding="utf-8").splitlines()
    return np.array([int(line.rpartition("\t")[2]) for line in lines], np.int64)


@pytest.mark.real_data
@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_imbalance(published: Path, name: str) -> None:
    found, (total, unequal) = counts(published / f"{name}.tsv"), PUBLISHED[name]
    assert len(found) == 1000
    assert found.sum() == total
    assert round(gini(found), 2) == unequal


@pytest.mark.real_data
def test_a_batch_of_imagenet_captions_has_about_600_classes(published: Path) -> None:
    found = counts(published / "incaps.tsv")
    assert expected_distinct(found, int(found.sum()), 1024) == pytest.approx(600, abs=20)


def test_by_hand() -> None:
    assert gini(np.array([5, 5, 5])) == 0
    assert gini(np.array([0, 0, 0, 7])) == pytest.approx(0.75)
    # Mean absolute difference over twice the mean: (4·1 + 4·3 + 4·2 …)/…, for 1, 2, 5: 16/9 / (2 · 8/3).
    assert gini(np.array([5, 1, 2])) == pytest.approx(16 / 9 / (16 / 3))
    assert np.isnan(gini(np.array([0, 0])))
    assert expected_distinct(np.array([1, 1]), 2, 1) == pytest.approx(1.0)
    assert expected_distinct(np.array([1, 1]), 2, 2) == pytest.approx(1.5)
    assert expected_distinct(np.array([3, 0]), 3, 10) == 1.0
    assert expected_distinct(np.array([0]), 0, 10) == 0


@settings(deadline=None)
@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=30).filter(any))
def test_it_is_half_the_relative_mean_difference(values: list[int]) -> None:
    array = np.array(values, np.int64)
    differences = sum(abs(a - b) for a in values for b in values)
    assert gini(array) == pytest.approx(differences / (2 * len(values) * sum(values)), abs=1e-9)
    assert gini(array) == gini(array[::-1])


@settings(deadline=None)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=20).filter(any), st.integers(1, 500))
def test_a_larger_batch_has_no_fewer_classes(values: list[int], batch: int) -> None:
    array = np.array(values, np.int64)
    found = [expected_distinct(array, sum(values), size) for size in (batch, batch + 1)]
    assert found[0] <= found[1] <= np.count_nonzero(array) + 1e-9
