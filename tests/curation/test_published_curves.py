"""Effective robustness and concept frequency against published fits and known values; by hand without them."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.kernels.frequency_curve import frequency_curve, misalignment, pearson, spearman
from curation.kernels.robustness import LINES, A, fit_line, logit


def fits(real_data: Path) -> dict[str, dict]:
    return json.loads((real_data / "peer_vectors/effective_robustness_fits.json").read_text())


def line_of(name: str):
    shift, _, part = name.partition(": ")
    lines = [line for line in LINES if line.shift == shift]
    return lines[-1] if part.startswith("above") else lines[0]


@pytest.mark.real_data
def test_the_lines_are_the_published_ones(real_data: Path) -> None:
    found = fits(real_data)
    assert len(found) == len(LINES) == 6
    for name, fit in found.items():
        line = line_of(name)
        assert line.against == fit["id_column"]
        assert line.slope == pytest.approx(fit["slope"], abs=1e-9)
        assert line.intercept == pytest.approx(fit["intercept"], abs=1e-9)


@pytest.mark.real_data
def test_fitting_the_standard_models_again_gives_them(real_data: Path) -> None:
    with (real_data / "results/imagenet_testbed_top1.csv").open(encoding="utf-8") as file:
        models = {row["model"]: row for row in csv.DictReader(file)}
    for name, fit in fits(real_data).items():
        line = line_of(name)
        assert len(fit["models"]) == fit["models_in_fit"]
        pairs = [(float(models[m][line.against]), float(models[m][line.shift])) for m in fit["models"]]
        assert all(line.holds(x) for x, _ in pairs)
        slope, intercept = fit_line(*np.array(pairs).T)
        assert slope == pytest.approx(fit["slope"], abs=1e-9)
        assert intercept == pytest.approx(fit["intercept"], abs=1e-9)


def test_effective_robustness_by_hand() -> None:
    v2 = LINES[0]
    expected = 100 / (1 + math.exp(-(v2.slope * math.log(0.7 / 0.3) + v2.intercept)))
    rho, half = v2.effective(70.0, 65.0)
    assert rho == pytest.approx(65 - expected, abs=1e-12)
    step = 1e-4
    steep = (v2.expected(70 + step) - v2.expected(70 - step)) / (2 * step)
    variance = 0.65 * 0.35 / 10_000 + steep**2 * 0.7 * 0.3 / 50_000
    assert half == pytest.approx(100 * 1.959964 * math.sqrt(variance), rel=1e-6)
    assert v2.effective(70.0, v2.expected(70.0))[0] == 0


def test_one_line_of_imagenet_a_holds_for_every_accuracy() -> None:
    for accuracy in (0.1, 50.0, 91.86, 91.8601, 99.9):
        assert sum(line.holds(accuracy) for line in LINES if line.shift == A) == 1
    assert not any(line.holds(value) for line in LINES for value in (0.0, 100.0))


@settings(deadline=None)
@given(st.floats(0.3, 3), st.floats(-3, 3))
def test_a_fit_finds_the_line_that_points_lie_on(slope: float, intercept: float) -> None:
    x = np.array([20.0, 40.0, 55.0, 70.0, 90.0])
    y = np.array([100 / (1 + math.exp(-slope * logit(a) - intercept)) for a in x.tolist()])
    assert fit_line(x, y) == pytest.approx((slope, intercept), abs=1e-9)


SLICES = {"laion400m": (2, -1), "synthci30m": (0, -4)}
ESTIMATORS = {"text": "text_lemma", "rampp": "image_rampp_070", "both": "both_070"}


@pytest.mark.real_data
def test_every_known_value_of_concept_frequency(real_data: Path) -> None:
    """192 rows: pool, model, estimator, prompts, number of sets; to three decimals."""
    folder = real_data / "concept_frequency"
    with (folder / "known_values.tsv").open(encoding="utf-8") as file:
        wanted = list(csv.DictReader(file, delimiter="\t"))
    assert len(wanted) == 192
    counts = columns(folder / "counts.parquet")
    accuracy = columns(folder / "accuracy.parquet")
    by_pool: dict[str, dict[tuple[str, str], int]] = {}
    for at, key in enumerate(zip(counts["pool"], counts["dataset"], counts["concept"], strict=True)):
        by_pool.setdefault(key[0], {})[key[1:]] = at
    by_model: dict[tuple[str, str], list[int]] = {}
    for at, key in enumerate(zip(accuracy["model"], accuracy["pretraining"], strict=True)):
        by_model.setdefault(key, []).append(at)
    for row in wanted:
        left_out = {"imagenet-r"} | ({"imagenet-sketch"} if row["n_sets"] == "17" else set())
        column = counts[ESTIMATORS[row["estimator"]]]
        acc = accuracy[f"acc_{row['prompts']}"]
        pairs = []
        for at in by_model[row["model"], row["pool"]]:
            of = accuracy["dataset"][at]
            place = by_pool[row["pool"]].get((of, accuracy["concept"][at]))
            if of not in left_out and place is not None:
                pairs.append((column[place], acc[at]))
        found, accurate = np.array(pairs).T
        assert len(found) == int(row["n_classes"]), row
        assert np.count_nonzero(found == 0) == int(row["n_zero"]), row
        curve = frequency_curve(found, accurate)
        assert curve.pearson(*SLICES.get(row["pool"], (1, -1))) == pytest.approx(
            float(row["pearson_binned"]), abs=5.1e-4
        ), row
        assert curve.pearson() == pytest.approx(float(row["pearson_binned_inner"]), abs=5.1e-4), row
        assert spearman(found, accurate) == pytest.approx(float(row["spearman"]), abs=5.1e-4), row


def columns(path: Path) -> dict[str, list]:
    table = pq.read_table(path)
    return {name: table.column(name).to_pylist() for name in table.column_names}


@pytest.mark.real_data
def test_published_misalignment_follows_from_its_parts(real_data: Path) -> None:
    table = pq.read_table(real_data / "concept_frequency/misalignment.parquet").to_pylist()
    assert len(table) == 5
    for row in table:
        indexed = row["indexed_implied"]
        assert misalignment(row["misaligned"], indexed, indexed - 7) == pytest.approx(
            row["degree_of_indexed"], abs=1e-6
        )


def test_curve_by_hand() -> None:
    curve = frequency_curve(np.array([0, 1, math.e**11, math.e**5.5]), np.array([10.0, 20.0, 90.0, 50.0]))
    assert curve.edges == pytest.approx(np.arange(12))
    assert curve.sizes.tolist() == [2, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]
    assert curve.means[[0, 6, 11]].tolist() == [15.0, 50.0, 90.0]
    assert math.isnan(curve.pearson())
    assert curve.pearson(0, None) == pytest.approx(np.corrcoef([0, 6, 11], [15, 50, 90])[0, 1])


def test_concepts_of_one_frequency_have_no_curve() -> None:
    curve = frequency_curve(np.array([5.0, 5.0]), np.array([1.0, 2.0]))
    assert math.isnan(curve.pearson())
    assert curve.sizes.sum() == 2
    assert math.isnan(misalignment(0, 0, 0))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=30))
def test_spearman_is_pearson_of_mean_ranks(pairs: list[tuple[int, int]]) -> None:
    x, y = np.array(pairs, float).T

    def ranks(values: np.ndarray) -> np.ndarray:
        return np.array([np.mean([i + 1 for i, w in enumerate(sorted(values)) if w == v]) for v in values])

    found = spearman(x, y)
    wanted = pearson(ranks(x), ranks(y))
    assert found == pytest.approx(wanted, nan_ok=True)
    assert math.isnan(found) or -1 - 1e-12 <= found <= 1 + 1e-12
