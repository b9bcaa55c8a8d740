"""What a report says in words, and how the axes of its charts are chosen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from report_sets import Folder, World, build_world

from curation.audit import gap
from curation.leakage import Identical
from pipeline.report import ReportOptions, ReportRequest, Search, build_report
from pipeline.report.drawing.axes import Scale, line, plain, steps, ticks
from pipeline.report.drawing.cascade import waterfall
from pipeline.report.drawing.charts import Series, curve, gap_bounds, ranks, ridges, spread
from pipeline.report.findings import Finding, Findings, collect
from pipeline.report.loss_lines import loss_lines
from pipeline.report.outcomes import Rows
from pipeline.report.statements import confidence, headline, level_of, notes, sentence


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return build_world(tmp_path_factory.mktemp("run"), images=False)


def found(request: ReportRequest, **options: float) -> tuple[Findings, Finding]:
    findings = collect(replace(request, options=replace(ReportOptions(pairs=0), **options)))
    return findings, findings.benchmarks[1]


def said(finding: Finding, hard: float, soft: float) -> str:
    return sentence(finding, ReportOptions(hard, soft))


def test_only_equal_bytes_are_called_identical(world: World) -> None:
    _, sketch = found(world.request)
    assert said(sketch, 0.99, 0.95) == "2 of 40 queries (5.0 %) have a pool sample above 0.99."
    assert confidence(sketch, Search()) == "moderate: similarity alone is not identity"
    certain = replace(sketch, verdict=replace(sketch.verdict, level="identical", affected=1))
    assert "byte-identical" in said(certain, 0.99, 0.95)
    assert confidence(certain, Search()).startswith("certain")


def test_soft_and_none(world: World) -> None:
    _, sketch = found(world.request, hard=1.01, soft=0.9)
    assert said(sketch, 1.01, 0.9) == "4 of 40 queries (10.0 %) have a pool sample above 0.9."
    _, sketch = found(world.request, hard=1.02, soft=1.01)
    assert said(sketch, 1.02, 1.01) == "None of 40 queries has a pool sample above 1.01."
    assert confidence(sketch, Search()).startswith("moderate: every sample was compared")
    assert confidence(sketch, Search("ivf", False)).startswith("low: the search was approximate")


def test_a_crowd_is_named(world: World) -> None:
    _, sketch = found(world.request, hard=0.5, soft=0.4)
    assert "whole crowd of samples above 0.5" in confidence(sketch, Search())


def clean(findings: Findings) -> Findings:
    """The same findings of sets that lost nothing."""
    rows = {n: replace(r, listed=r.measured, failed={}, quarantined={}) for n, r in findings.rows.items()}
    return replace(findings, rows=rows)


def test_all_is_well_only_where_nothing_that_was_lost_could_change_it(world: World) -> None:
    findings, sketch = found(world.request, hard=1.02, soft=1.01)
    pool = findings.rows["pool"]
    assert pool.lost == 7
    assert headline(findings).level == level_of(findings, sketch) == "open"
    assert headline(findings).text.startswith("No near pair found, but 7 of ")
    calm = clean(findings)
    assert headline(calm).level == level_of(calm, sketch) == "none"
    assert headline(calm).text == "No near pair found"
    # A row that a benchmark lost opens its own verdict and the whole, not that of another benchmark.
    lost = replace(
        calm.rows["benchmark photo"], listed=calm.rows["benchmark photo"].listed + 1, failed={"x": 1}
    )
    one = replace(calm, rows={**calm.rows, "benchmark photo": lost})
    assert "1 of 51 rows of benchmark photo could not be compared" in headline(one).text
    assert level_of(one, sketch) == "none"
    assert level_of(one, one.benchmarks[0]) == "open"
    # The reference's losses could only make thresholds higher.
    kept = replace(calm.rows["reference"], listed=calm.rows["reference"].listed + 1, failed={"x": 1})
    assert headline(replace(calm, rows={**calm.rows, "reference": kept})).level == "none"


def test_an_approximate_search_leaves_the_headline_open(world: World) -> None:
    findings, _ = found(replace(world.request, search=Search("ivf", False)), hard=1.02, soft=1.01)
    said = headline(clean(findings))
    assert (said.level, said.text) == (
        "open",
        "No near pair found, but the search was approximate and may miss near samples",
    )


def test_losses_do_not_hide_what_was_found(world: World) -> None:
    findings, sketch = found(world.request)
    assert headline(findings).level == headline(clean(findings)).level == "hard"
    assert level_of(findings, sketch) == "hard"


def test_a_loss_is_said_with_its_share_and_first_reasons() -> None:
    rows = Rows(None, 1006, {"HTTP 404": 4, "b": 2}, {"a\u202e": 3, "late": 2, "nan": 1}, 5)
    whole = Rows(None, 10, {}, {}, 1)
    assert loss_lines({"pool": rows, "benchmark one": whole}) == [
        "pool: 12 of 1,006 rows lost (1.2 %): 4 HTTP 404, 3 a\u27e8U+202E\u27e9, 2 b, 3 for other reasons"
    ]


def test_notes_say_what_limits_the_verdict(world: World) -> None:
    findings, sketch = found(world.request, hard=0.8, soft=0.7)
    told = " ".join(notes(findings))
    assert "exact (backend exact)" in told
    assert "vectors instead of image files" in told
    assert "The reference itself has a sample above 0.8" in told
    searched = replace(sketch.sources[0], identical=Identical(0, 0, 40))
    assert searched.identical.checked
    for search, words in [
        (Search("ivf", False), "near samples may be missing"),
        (
            Search("ivf", False, 0.985, 1000, 2000, 0.01234, 3),
            "(backend ivf): of 1,000 samples checked exactly, the nearest query was found in 98.5 % of 2,000 "
            "comparisons with a benchmark, similarities were too low by at most 0.0123, and 3 of the decisions of "
            "near-pruning differ.",
        ),
        (Search("ivf", False, 0.985, 1000, 2000, 2e-6, None), "too low by at most 2e-06."),
    ]:
        assert words in notes(replace(findings, request=replace(findings.request, search=search)))[0]


def test_a_report_without_splits_or_pairs(world: World, tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    build_report(replace(world.request, splits=(), options=ReportOptions(pairs=0), command=""), folder)
    page = folder.file("report/report.html").read_text(encoding="utf-8")
    assert 'id="splits"' not in page
    assert "Nearest pairs" not in page
    assert "Reproduce" not in page


@pytest.mark.parametrize(
    "dropped",
    [{"near": 5, "random": 2}, [{"reason": "near", "dropped": 5}, {"rule": "random", "dropped": 2}]],
)
def test_waterfall_adds_up(dropped: object) -> None:
    listed = {
        "rows_in": 20,
        "failed": {"gone": 1},
        "quarantined": {"nan": 2},
        "duplicates": 3,
        "dropped": dropped,
    }
    fall = waterfall({"waterfall": listed | {"kept": 7}})
    assert [(step.reason, step.dropped, step.after) for step in fall.steps] == [
        ("failed: gone", 1, 19),
        ("quarantined: nan", 2, 17),
        ("repeated uid", 3, 14),
        ("near", 5, 9),
        ("random", 2, 7),
    ]
    assert fall.adds_up
    assert not waterfall({"waterfall": listed | {"kept": 8}}).adds_up


def test_ticks_are_round_and_inside() -> None:
    assert ticks(0.61, 1.02) == [0.7, 0.8, 0.9, 1.0]
    assert ticks(-0.17, 0.34) == [-0.1, 0.0, 0.1, 0.2, 0.3]
    assert ticks(1, 10, 8) == [2.0, 4.0, 6.0, 8.0, 10.0]
    assert plain(-0.5) == "\u22120.5"


def test_paths() -> None:
    assert line([(0, 0), (1, 5), (2, 5), (3, 5), (4, 6)]) == "M0 0L1 5L3 5L4 6"
    assert line([]) == ""
    assert steps([0, 1, 2, 3], [5, 5, 2], 10) == "M0 10H0V5H1H2H2V2H3V10Z"
    assert steps([0], [], 10) == ""
    scale = Scale(0, 1, 100, 200)
    assert [scale(v) for v in (-1, 0, 0.5, 1, 2)] == [100, 100, 150, 200, 200]


def test_charts_of_sets_without_samples() -> None:
    empty = Series("pool", "pool", "pool", gap(np.full(3, np.nan)), ())
    bounds = gap_bounds([empty], [0.95, 0.99])
    assert bounds[0] < 0.95 < 0.99 < bounds[1]
    assert "no sample" in ridges([empty], bounds, []).about
    assert len(curve([empty], bounds, []).curves) == 1
    assert ranks([empty]) is None


def test_bounds_hold_everything() -> None:
    low, high = spread([0.2], [0.9], [0.95])
    assert low < 0.2 < 0.95 < high
    assert (low * 32) % 1 == (high * 32) % 1 == 0
