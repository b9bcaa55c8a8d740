"""Measures in a plan: options, further names, what is refused, and what a plan file is written back as."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from curation.measures.captions import Captions
from curation.measures.clip_score import ClipScore
from curation.measures.clusters import Clusters
from indexes.errors import PlanError
from pipeline.documents.yaml_safe import parse_yaml
from pipeline.plan import Plan, audit_plan, build_plan, dump_lock, load_lock, load_plan, resolve
from pipeline.plan.measured import measures_of_plans

BASE = "name: demo\npool: {path: p}\noutput: o\nbenchmarks: {val: {path: v}}\n"
AVAILABLE = ", ".join(measures_of_plans())


def plan_of(text: str) -> Plan:
    return build_plan(parse_yaml(BASE + text, "p.yaml"))


def test_a_measure_has_options_and_may_go_by_another_name() -> None:
    plan = plan_of(
        "measures: {clip-score: {column: similarity}, captions: , coarse: {measure: clusters, k: 9}}"
    )
    assert plan.measures == {
        "clip_score": ClipScore("similarity"),
        "captions": Captions(),
        "coarse": Clusters(k=9),
    }
    assert plan_of("measures:").measures == plan_of("").measures == {}
    spelled = plan_of("measures: {score: {measure: clip-score}, other: {measure: clip_score}}")
    assert spelled.measures == {"score": ClipScore(), "other": ClipScore()}


def test_measures_are_locked_as_they_were(tmp_path: Path) -> None:
    plan = resolve(plan_of("measures: {clusters: {k: 3}, fine-1.k: {measure: clusters, k: 9, seed: 4}}"))
    written = plan.written()["measures"]
    assert written["clusters"]["k"] == 3
    assert "measure" not in written["clusters"]
    assert (written["fine-1.k"]["measure"], written["fine-1.k"]["seed"]) == ("clusters", 4)
    (tmp_path / "plan.lock.yaml").write_text(dump_lock(plan, {}))
    assert load_lock(tmp_path / "plan.lock.yaml").plan == plan
    assert "measures" not in plan_of("").written()


def test_an_option_may_come_from_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(BASE + "measures: {clusters: {k: 3}}")
    plan = load_plan(tmp_path / "p.yaml", ["measures.clusters.k=7", "measures.captions="])
    assert plan.measures == {"clusters": Clusters(k=7), "captions": Captions()}
    with pytest.raises(PlanError, match=r"^--set measures\.clusters\.k=x: .*clusters\.k is 'x'"):
        load_plan(tmp_path / "p.yaml", ["measures.clusters.k=x"])


def test_an_audit_reads_measures_as_a_plan_file_does() -> None:
    plan = audit_plan({"path": "p"}, {}, "o", measures={"clusters": {"k": 3}, "captions": None})
    assert plan.measures == {"clusters": Clusters(k=3), "captions": Captions()}


@pytest.mark.parametrize(
    ("measures", "place", "why"),
    [
        ("{clustrs: {k: 3}}", "5:12", "unknown measure 'clustrs'; available: captions, "),
        ("{coarse: {measure: clustrs, k: 3}}", "5:21", "unknown measure 'clustrs'"),
        (
            "{coarse: {k: 3}}",
            "5:12",
            f"unknown measure 'coarse'; available: {AVAILABLE}. If 'coarse' is a name "
            "of your own, say under `measure` which one it is.",
        ),
        ("{coarse: {measure: 3}}", "5:21", "measures.coarse.measure: got 3; name one of: captions, "),
        (
            "{clusters: {k: 3, kk: 4}}",
            "5:29",
            "unknown option 'kk' at measures.clusters; measure takes: assign, assignments, iter",
        ),
        (
            "{clusters: }",
            "5:12",
            "measures.clusters.k is missing; measure takes: assign, assignments, iterations, k, levels, sample",
        ),
        ("{clusters: {k: many}}", "5:23", "measures.clusters.k is 'many'; it should be a valid integer"),
        ("{clusters: 3}", "5:12", "measures.clusters: got 3; write a map of options, or nothing"),
        ("[clusters]", "5:1", "measures: got ['clusters']; write a map of measures to their options"),
        ("{url: {measure: captions}}", "5:12", "'url' cannot be a name here"),
        ("{row: {measure: captions}}", "5:12", "'row' cannot be a name here"),
        # `needs = ("image", )` of a measure must mean the embeddings
        ("{image: {measure: captions}}", "5:12", "'image' cannot be a name here"),
        ("{Queries: {measure: captions}}", "5:12", "'Queries' cannot be a name here"),
        ("{a b: {measure: captions}}", "5:12", "'a b' is not a name"),
        ("{val: {measure: captions}}", "5:12", "'val' is also the name of one of the benchmarks"),
        ("{VAL: {measure: captions}}", "5:12", "'val' and 'VAL' differ in case alone"),
        ("{a: {measure: captions}, A: {measure: captions}}", "5:36", "'a' and 'A' differ in case alone"),
        # one measure under two spellings, and a name that says another measure
        ("{clip-score: , clip_score: }", "5:26", "'clip_score' is here twice"),
        (
            "{clusters: {measure: captions}}",
            "5:12",
            "'clusters' is the name of another measure than captions",
        ),
        ("{Clip-Score: {measure: captions}}", "5:12", "'Clip-Score' is the name of another measure than"),
        # there is one similarity for each benchmark, and no other
        ("{similarity: {benchmark: val}}", "5:12", "'similarity' is measured for each benchmark by itself"),
        (
            "{mine: {measure: similarity, benchmark: val}}",
            "5:19",
            "add the set that you mean under benchmarks",
        ),
    ],
)
def test_refused_with_its_place(measures: str, place: str, why: str) -> None:
    with pytest.raises(PlanError, match=rf"(?m)^p\.yaml:{place}: .*{re.escape(why)}") as caught:
        plan_of(f"measures: {measures}")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", ["captions", "Captions", "clip-score", "clip_score", "similarity"])
def test_a_benchmark_is_not_called_as_a_measure_is(name: str) -> None:
    with pytest.raises(PlanError, match=f"benchmarks.{name}: '{name}' is the name of a measure"):
        audit_plan({"path": "p"}, {name: {"path": "b"}}, "o")
