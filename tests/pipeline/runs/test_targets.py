"""Targets of measures: a benchmark, the reference or a further source, with the same answer for the same images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from small_sets import plan_of, write_plan, write_sets
from whole_runs import Run

CLUSTERS = {"k": 9, "spherical": False, "assign": "product"}


def columns(out: Path, *names: str) -> dict[str, Any]:
    """Read a measure's columns over all parts."""
    files = sorted((out / "measures").joinpath(*names).glob("part-*"))
    return {str(number): pq.read_table(file).to_pydict() for number, file in enumerate(files)}


def measured(sets: Path, cli: Run, target: str, **sources: Any) -> dict[str, Any]:
    """Run a plan whose measures look at a target; `sources` are the sets of the plan beside the pool."""
    measures = {"clusters": CLUSTERS | {"target": target}, "norm_sim": {"to": target}}
    plan = {"reference": None, "benchmarks": {}} | sources
    out = sets / f"out_{target}"
    splits = {"taken": [{"image-based": {}}]}
    path = write_plan(sets, splits=splits, measures=measures, output=str(out), **plan)
    code, _, errors = cli("run", str(path))
    assert code == 0, errors
    code, said, errors = cli("verify", str(out))
    assert code == 0, said + errors
    return columns(out, "clusters") | {"norm": columns(out, "norm_sim")}


def test_a_target_may_be_a_benchmark_the_reference_or_a_source(tmp_path: Path, cli: Run) -> None:
    write_sets(tmp_path)
    images = plan_of(tmp_path)["reference"]
    as_benchmark = measured(tmp_path, cli, "train", benchmarks={"train": images})
    assert any(taken for part in ("0", "1", "2") for taken in as_benchmark[part]["target"])
    assert measured(tmp_path, cli, "reference", reference=images) == as_benchmark
    assert measured(tmp_path, cli, "more", sources={"more": images}) == as_benchmark


def test_a_reference_that_thresholds_and_targets_is_looked_at_for_both(tmp_path: Path, cli: Run) -> None:
    write_sets(tmp_path)
    plan = plan_of(tmp_path)
    alone = measured(tmp_path, cli, "reference", reference=plan["reference"])
    both = {"reference": plan["reference"], "benchmarks": plan["benchmarks"]}
    again = measured(tmp_path, cli, "reference", **both)
    assert again == alone
    code, said, _ = cli("verify", str(tmp_path / "out_reference"))
    assert code == 0, said
    assert {one.name for one in (tmp_path / "out_reference" / "indexes").iterdir()} == {
        "one",
        "two",
        "reference",
    }


def test_a_target_that_is_nowhere_is_named_with_what_there_is(tmp_path: Path, cli: Run) -> None:
    write_sets(tmp_path)
    code, _, errors = cli("run", str(write_plan(tmp_path, measures={"norm_sim": {"to": "three"}})))
    assert code == 2
    assert "measures.norm_sim.to: 'three' is not in this plan; it has: one, two, reference" in errors
    code, _, errors = cli(
        "run", str(write_plan(tmp_path, measures={"clusters": CLUSTERS | {"target": "no"}}))
    )
    assert code == 2
    assert "measures.clusters.target: 'no' is not in this plan" in errors
