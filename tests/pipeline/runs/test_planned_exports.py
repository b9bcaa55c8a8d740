"""Exports that a plan asks for: made after the run, found done the next time, and checked before anything is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from export_pool import grouped, write_export_plan, write_pool
from small_sets import write_plan
from whole_runs import Run


def asking(path: Path, **export: Any) -> str:
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"export": export}))
    return str(path)


def test_a_run_writes_what_its_plan_asks_for(tmp_path: Path, cli: Run) -> None:
    write_pool(tmp_path / "pool")
    plan = asking(write_export_plan(tmp_path), some={"samples_per_shard": 5}, none={})
    code, said, errors = cli("run", plan)
    assert code == 0, errors
    folder = tmp_path / "out/shards/some"
    assert json.loads((folder / "sizes.json").read_text()) == {
        f"{n:08d}.tar": c for n, c in enumerate((5, 5, 2))
    }
    assert f"12 samples in 3 tars: {folder}" in said
    assert f"--train-data '{folder}/{{00000000..00000002}}.tar' --workers 3" in said
    assert "0 samples in 0 tars" in said
    written = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    code, said, _ = cli("run", plan, "--json")
    assert [one["split"] for one in json.loads(said.splitlines()[-1])["exported"]] == ["none", "some"]
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == written
    first = [key for _, key, _ in grouped(folder)]
    assert cli("run", plan, "--set", "export.some.seed=1")[0] == 0
    assert sorted(first) == sorted(key for _, key, _ in grouped(folder)) != first


@pytest.mark.parametrize(
    ("export", "problem"),
    [
        ({"sume": {}}, "split 'sume' is not in this plan; it has: none, some, whole. Did you mean 'some'"),
        ({"some": {"samples_per_shard": 0}}, "export.some.samples_per_shard: got 0"),
        ({"some": {"seeds": 1}}, "seeds"),
    ],
)
def test_a_wrong_one_is_named(export: dict[str, Any], problem: str, tmp_path: Path, cli: Run) -> None:
    write_pool(tmp_path / "pool")
    code, _, errors = cli("run", asking(write_export_plan(tmp_path), **export))
    assert (code, problem in errors) == (2, True), errors
    assert not (tmp_path / "out").exists()


def test_a_pool_without_tars_is_refused_before_it_is_read(sets: Path, cli: Run) -> None:
    code, _, errors = cli("run", asking(Path(write_plan(sets)), pruned={}))
    assert (code, "holds no tars to export from" in errors) == (2, True), errors
    assert not (sets / "out/commits").exists()
