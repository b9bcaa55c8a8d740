"""Counts of the measures other than similarity, against numpy and exact fractions."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_draws import SIZES, mixed_columns
from report_sets import Folder, World, build_world

from pipeline.report.document import document
from pipeline.report.drawing.text import number
from pipeline.report.findings import collect
from pipeline.report.making import build_report
from pipeline.report.request import MeasureFiles
from pipeline.report.tallies import Tally, exact_sum, tally


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return build_world(tmp_path_factory.mktemp("run"), images=False)


@pytest.fixture(scope="module")
def mixed(world: World) -> dict[str, Tally]:
    """The measure with columns of every kind; its last part is one row without values."""
    captions, other = tally(world.request)
    assert (captions.name, captions.kind, captions.rows) == ("captions", "captions", SIZES["pool"] + 1)
    assert (other.name, other.kind, other.rows) == ("mixed", "anything", SIZES["pool"] + 1)
    return {column.name: column for column in other.columns}


def test_numbers(world: World, mixed: dict[str, Tally]) -> None:
    score = mixed_columns()["score"].to_numpy(zero_copy_only=False)
    known = score[~np.isnan(score)]
    found = mixed["score"]
    assert len(known) == SIZES["pool"] - 2
    assert (found.measured, found.missing) == (len(known), 3)
    assert (found.least, found.most) == (known.min(), known.max())
    assert found.total == sum(Fraction(value) for value in known.tolist())
    assert found.mean == float(found.total / len(known))
    words = [len((caption or "").split()) for caption in world.sets["pool"].captions]
    [column] = next(tally(world.request)).columns
    assert (column.measured, column.missing, column.type) == (len(words), 1, "int32")
    assert (column.least, column.mean, column.most) == (min(words), sum(words) / len(words), max(words))


def test_truth_lists_and_text(mixed: dict[str, Tally]) -> None:
    good, tags, language = mixed["good"], mixed["tags"], mixed["language"]
    assert (good.least, good.mean, good.most, good.missing) == (0, 0.25, 1, 1)
    lengths = [at % 3 for at in range(SIZES["pool"]) if at % 10]
    assert (tags.of, tags.measured, tags.missing) == ("lengths", len(lengths), 31)
    assert (tags.least, tags.mean, tags.most) == (0, sum(lengths) / len(lengths), 2)
    spoken = sum(at % 7 > 0 for at in range(SIZES["pool"]))
    assert (language.of, language.measured) == ("nothing", spoken)
    assert (language.least, language.mean, language.most) == (None, None, None)


def test_infinite_numbers_are_no_json(world: World, mixed: dict[str, Tally]) -> None:
    assert (mixed["endless"].least, mixed["endless"].mean, mixed["endless"].most) == (1.0, None, math.inf)
    written = document(collect(world.request))["measures"]["mixed"]["columns"]["endless"]
    assert (written["min"], written["mean"], written["max"]) == (1.0, None, None)
    assert written["measured"] == SIZES["pool"]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=40))
def test_a_sum_is_exact_in_any_order(values: list[float]) -> None:
    found = exact_sum(np.array(values, dtype=np.float64))
    assert found == sum(map(Fraction, values))
    assert found == exact_sum(np.array(values[::-1], dtype=np.float64))


def test_a_sum_of_many_large_numbers_does_not_overflow() -> None:
    values = np.full(1 << 17, np.nextafter(2.0**60, 0))
    assert exact_sum(values) == len(values) * Fraction(float(values[0]))
    assert exact_sum(-values) == -len(values) * Fraction(float(values[0]))


def test_whole_numbers_and_decimals() -> None:
    counts = Tally("n", "", "uint64", "values")
    counts.add(pa.array([2**63, 0, None], pa.uint64()))
    assert (counts.least, counts.mean, counts.most, counts.missing) == (0, 2.0**62, 2.0**63, 1)
    assert [number(v) for v in (1234567.0, 0.25, 1 / 3, -2.0, 1e300, math.inf, None, math.nan)] == [
        *("1,234,567", "0.25", "0.33333", "\u22122", "1e+300", "inf", "–", "–"),
    ]


def test_the_page_shows_each_column_with_its_meaning(world: World, tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    hostile = replace(
        world.request.measures[0],
        name="<script>alert(1)</script>",
        columns=(("words", "<b>bold</b> \u202e words"),),
    )
    build_report(replace(world.request, measures=(hostile, world.request.measures[1])), folder)
    page = folder.file("report/report.html").read_text(encoding="utf-8")
    section = page[page.index('id="measures"') : page.index('id="splits"')]
    for words in ("what score says", "what tags says", "(list&lt;", ", by length", "(<bdi>anything</bdi>)"):
        assert words in section
    assert "<script" not in page
    assert "<b>bold" not in page
    assert "\u202e" not in page


def test_a_measure_of_no_parts_says_so(world: World) -> None:
    [found] = tally(replace(world.request, measures=(MeasureFiles("empty", "empty", (("x", "x"),)),)))
    assert (found.rows, found.columns[0].measured, found.columns[0].mean) == (0, 0, None)
