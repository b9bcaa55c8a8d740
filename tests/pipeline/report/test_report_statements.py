"""What a report says in words, and how the axes of its charts are chosen."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from report_sets import Folder, World, build_world

from curation.audit import gap
from curation.leakage import Identical
from curation.rule import Scope
from curation.rules.near import Near
from pipeline.report.drawing.axes import Scale, line, plain, steps, ticks
from pipeline.report.drawing.benchmark_view import flattened
from pipeline.report.drawing.cascade import waterfall
from pipeline.report.drawing.charts import Series, curve, gap_bounds, ranks, ridges, spread
from pipeline.report.findings import Finding, Findings, collect
from pipeline.report.making import build_report
from pipeline.report.request import ReportOptions, ReportRequest, Search
from pipeline.report.statements import confidence, notes, sentence


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
    nearer = (world.similarity["sketch"].max(axis=0) > world.threshold["sketch"]).sum()
    more = f" {nearer} have one nearer than the reference comes."
    assert said(sketch, 1.02, 1.01) == f"None of 40 queries has a pool sample above 1.01.{more}"
    assert confidence(sketch, Search()).startswith("moderate: every sample was compared")
    assert confidence(sketch, Search("ivf", False)).startswith("low: the search was approximate")


def test_a_crowd_is_named(world: World) -> None:
    _, sketch = found(world.request, hard=0.5, soft=0.4)
    assert "whole crowd of samples above 0.5" in confidence(sketch, Search())


def test_a_crowd_is_named_only_where_most_are_crowded(world: World) -> None:
    _, sketch = found(world.request, hard=1.01, soft=0.9)
    pool = sketch.sources[0]
    for crowded, words in (
        (0, "similarity alone"),
        (2, "similarity alone"),
        (3, "3 of them have a whole crowd"),
    ):
        leak = replace(pool.soft, queries=4, crowded=crowded)
        told = confidence(replace(sketch, sources=(replace(pool, soft=leak),)), Search())
        assert told.startswith(f"low: {words}")


def test_notes_of_an_audit_say_nothing_of_pruning(world: World) -> None:
    findings, _ = found(world.request, hard=0.8, soft=0.7)
    assert "near-pruning may let copies pass" in " ".join(notes(findings))
    alone = notes(replace(findings, request=replace(findings.request, splits=())))
    assert "so high that copies may lie below them" in " ".join(alone)
    assert "prun" not in " ".join(alone)


def test_provenance_prints_words_for_what_is_not_there() -> None:
    steps = {"steps": [{"size": [224, 224], "crop": None}, ["a", None]], "fast": True, "mean": [0.5, None]}
    given = {
        "sets": {"one": {"notes": [], "format": None, "rows": 0, "options": {}}},
        "text": "",
        "made": steps,
    }
    assert list(flattened(given)) == [
        ("sets.one.notes", "none"),
        ("sets.one.format", "not stated"),
        ("sets.one.rows", "0"),
        ("sets.one.options", "none"),
        ("text", "none"),
        ("made.steps.1.size", "224, 224"),
        ("made.steps.1.crop", "not stated"),
        ("made.steps.2", "a, not stated"),
        ("made.fast", "yes"),
        ("made.mean", "0.5, not stated"),
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
    [
        {"near": 5, "random": 2},
        [{"reason": "near", "dropped": 5}, {"rule": "random", "dropped": 2, "words": "keeps 2"}],
    ],
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
    whole = fall.gathered  # as it is drawn: what is lost is the same for every split
    assert [(step.reason, step.dropped, step.after) for step in whole.steps] == [
        ("lost", 6, 14),
        ("near", 5, 9),
        ("random", 2, 7),
    ]
    assert whole.steps[0].words == "before any rule: 3 repeated uid, 2 quarantined: nan, 1 for other reasons"
    assert whole.adds_up
    assert not waterfall({"waterfall": listed | {"kept": 8}}).adds_up


def test_a_waterfall_says_to_what_and_at_which_level(world: World, tmp_path: Path) -> None:
    near = Near(("sketch",), threshold=0.9).selection(Scope(("sketch",), reference=True)).words()
    split = world.request.splits[0]
    facts = json.loads(world.request.path(split.facts).read_text())
    facts["waterfall"]["dropped"] = [{"reason": "1:near", "dropped": 3, "words": near}]
    (tmp_path / "split.json").write_text(json.dumps(facts))
    told = replace(split, facts=str(tmp_path / "split.json"))
    folder = Folder(tmp_path)
    build_report(replace(world.request, splits=(told,)), folder)
    expected = "drops what has a similarity above 0.9 to any of sketch"
    assert expected in folder.file("report/report.html").read_text(encoding="utf-8")
    steps = json.loads(folder.file("report/audit.json").read_text())["splits"][split.name]["steps"]
    assert [step["words"] for step in steps] == ["", "", "", expected]


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
