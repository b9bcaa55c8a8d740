"""What a report says of unrelated pairs, and the levels that it suggests where the plan's own are reached by them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from report_sets import World, build_world
from small_sets import rows_of, write_part
from whole_runs import Run

from curation.chance_pairs import ChanceLevel, ChancePairs, chance_pairs
from indexes.errors import DataError
from pipeline.report.by_chance.calibration import Suggestion, advice, chance_sentence, suggestion
from pipeline.report.by_chance.drawn_pairs import read_chance
from pipeline.report.drawing.chance_chart import chance_chart
from pipeline.report.findings import Findings, collect
from pipeline.report.request import ReportOptions


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return build_world(tmp_path_factory.mktemp("run"), images=False)


def drawn(*levels: tuple[float, float]) -> ChancePairs:
    told = tuple(ChanceLevel(rate, at, 0.0123) for rate, at in levels)
    return ChancePairs(50, 200, 10_000, 3, (0.0,) * 8 + (0.97,), np.zeros(516, np.int64), told)


def found(world: World, soft: float, hard: float, *each: ChancePairs | None) -> Findings:
    findings = collect(replace(world.request, options=ReportOptions(pairs=0, soft=soft, hard=hard)))
    benchmarks = tuple(replace(one, chance=own) for one, own in zip(findings.benchmarks, each, strict=True))
    return replace(findings, benchmarks=benchmarks)


def test_levels_that_unrelated_pairs_do_not_reach_are_left_alone(world: World) -> None:
    calm = drawn((0.001, 0.7), (0.0001, 0.8), (0.00001, 0.9))
    for findings in (found(world, 0.8, 0.9, calm, calm), found(world, 0.5, 0.6, None, None)):
        assert suggestion(findings) == Suggestion(None, None)
        assert advice(findings) == ""


def test_a_level_that_they_reach_is_answered_with_one_that_they_do_not(world: World) -> None:
    low, high = drawn((0.0001, 0.8001), (0.00001, 0.9)), drawn((0.0001, 0.86), (0.00001, 0.95012))
    assert suggestion(found(world, 0.8, 0.99, low, None)) == Suggestion(0.801, None)
    assert suggestion(found(world, 0.8, 0.94, low, high)) == Suggestion(0.86, 0.951), (
        "the highest of all benchmarks"
    )
    assert suggestion(found(world, 0.5, 0.6, drawn((0.01, 0.7)), None)) == Suggestion(0.7, 0.7), (
        "the smallest rate told"
    )
    said = advice(found(world, 0.8, 0.94, low, high))
    assert (
        "The soft level 0.8 and the hard level 0.94 lie where unrelated pairs of this encoder lie too" in said
    )
    assert said.endswith("--set audit.soft=0.86 --set audit.hard=0.951")


def test_the_sentence_says_what_the_draw_cannot_tell(world: World) -> None:
    findings = found(world, 0.9, 0.95, drawn((0.01, 0.7), (0.001, 0.8)), drawn())
    first, second = (chance_sentence(one, 5000) for one in findings.benchmarks)
    assert first == (
        "Of 10,000 pairs of a query and a pool sample drawn by hash, 1 in 1,000 is above 0.8000 (±\u00a00.0123); the "
        "highest is 0.9700. So among 5,000 samples a query has 5.0 above that level by chance. Rates of 1 in 10,000 "
        "and below cannot be told from so few pairs. Copies among the drawn pairs can only make the level higher."
    )
    assert second.endswith("are too few to say what unrelated pairs reach; the highest is 0.9700.")


def test_the_chart_has_units_and_the_levels(world: World) -> None:
    found = chance_pairs(np.random.default_rng(0).standard_normal((40, 60)) / 8)
    chart = chance_chart(found, [(0.95, "soft 0.95"), (0.96, "b"), (0.97, "c")])
    assert chart is not None
    assert (chart.x_label, chart.y_label) == (
        "similarity of a drawn pair (cosine)",
        "pairs per bin (logarithmic)",
    )
    assert len({mark.level for mark in chart.marks}) == 3, "names that are close stand in rows of their own"
    assert chance_chart(replace(found, counts=np.zeros(516, np.int64)), []) is None


def test_a_damaged_file_is_named(world: World, tmp_path: Path) -> None:
    (tmp_path / "pairs.json").write_text("{}")
    files = replace(world.request.benchmarks[0], unrelated=str(tmp_path / "pairs.json"))
    with pytest.raises(DataError, match=r"pairs\.json.*--repair"):
        read_chance(world.request, files)


def test_the_suggested_levels_lead_out(sets: Path, cli: Run) -> None:
    """An encoder that calls everything alike: its levels are suggested, set, and then nothing is suggested."""
    rng = np.random.default_rng(5)
    for name, rows in (("pool", 360), ("one", 20)):
        close = 12.0 + rng.standard_normal((rows, 16))
        close = (close / np.linalg.norm(close, axis=1, keepdims=True)).astype(np.float16)
        for number, part in enumerate(np.split(close, 3) if name == "pool" else [close]):
            write_part(sets / name, number, part, rows_of(name[0], number * 120, len(part)))
    named = ["--pool", str(sets / "pool"), "--benchmark", f"one={sets / 'one'}", "--out", str(sets / "aud")]
    assert cli("audit", *named)[0] == 0
    audit = json.loads((sets / "aud" / "report" / "audit.json").read_text())
    assert 0.95 < audit["levels"]["suggested_soft"] <= audit["levels"]["suggested_hard"]
    page = (sets / "aud" / "report" / "report.html").read_text(encoding="utf-8")
    options = re.findall(r"--set audit\.(?:soft|hard)=[0-9.]+", page)
    assert len(options) == 2
    assert "How alike pairs are by chance" in page
    code, _, errors = cli("audit", *named, *" ".join(options).split())
    assert code == 0, errors
    levels = json.loads((sets / "aud" / "report" / "audit.json").read_text())["levels"]
    assert (levels["suggested_soft"], levels["suggested_hard"]) == (None, None)
