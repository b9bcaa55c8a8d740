"""A pool that lost 40 of 100 rows: terminal, report, tables and `audit.json` count the same rows; so does the gate."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
import yaml
from audit_pools import FAILED, LOST, MISSING, TINY, UNDECODABLE, lossy_world
from whole_runs import Run, finish


@pytest.fixture(scope="module")
def lossy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of one run, and what it printed."""
    folder = tmp_path_factory.mktemp("lossy")
    plan = lossy_world(folder) | {"audit": {"soft": 0.5, "hard": 0.8}}
    (folder / "plan.yaml").write_text(yaml.safe_dump(plan, sort_keys=False))
    done = finish(["run", str(folder / "plan.yaml")])
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def audit_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "out" / "report" / "audit.json").read_text())
    return found


def test_every_row_is_counted_once(lossy: tuple[Path, str]) -> None:
    found = audit_of(lossy[0])
    pool = found["rows"]["pool"]
    assert (pool["listed"], pool["lost"], pool["measured"]) == (100, LOST, 60)
    assert sum(pool["failed"].values()) == FAILED
    assert sorted(pool["quarantined"].values()) == [MISSING, UNDECODABLE]
    things, reference = found["rows"]["benchmark things"], found["rows"]["reference"]
    assert (things["listed"], things["lost"], reference["listed"], reference["lost"]) == (12, 2, 10, 1)


def test_all_say_the_same(lossy: tuple[Path, str]) -> None:
    folder, out = lossy
    found, page = audit_of(folder), (folder / "out" / "report" / "report.html").read_text(encoding="utf-8")
    one = found["benchmarks"]["things"]
    assert one["queries"] == one["pool"]["answered"] == one["verdict"]["queries"] == 10
    assert (
        found["pool"]["measured"]
        == one["pool_samples"]["measured"]
        == one["unrelated_pairs"]["samples"]
        == 60
    )
    leaks, nearer = one["leakage"][0], one["pool"]["queries_above_reference"]
    hard, soft = leaks["hard"]["queries"], leaks["hard"]["queries"] + leaks["soft"]["queries"]
    line = next(line for line in out.splitlines() if line.split()[:1] == ["things"])
    assert line.split()[1:] == [*map(str, (10, hard, soft, nearer, one["pool_samples"]["margin_above_0"]))]
    for share in (f"{100 * soft / 10:.1f} %", f"{100 * one['pool_samples']['margin_above_0'] / 60:.1f} %"):
        assert share in page
    for name, split in found["splits"].items():
        told = json.loads((folder / "out" / "splits" / name / "split.json").read_text())["waterfall"]
        assert split["rows"] == told["rows_in"] == 100
        assert split["kept"] == told["kept"] == pq.read_metadata(next(split_parts(folder, name))).num_rows
        assert f"{split['kept']} of 100" in page
        assert re.search(rf"^{name} +{split['kept']} +100 ", out, re.MULTILINE)
    for said in found["headline"]["lost"]:
        assert said in out.splitlines()
        assert f"<bdi>{said}</bdi>" in page
    assert any(
        said.startswith("pool: 40 of 100 rows lost (40.0 %): 20 failed") for said in found["headline"]["lost"]
    )
    assert out.splitlines()[-1] == f"report: {folder}/out/report/report.html"


def split_parts(folder: Path, name: str) -> Any:
    return (folder / "out" / "splits" / name).glob("part-*.parquet")


def test_pairs_are_as_many_as_are_said(lossy: tuple[Path, str]) -> None:
    folder, out = lossy
    found = audit_of(folder)
    table = pq.read_table(folder / "out" / "report" / "pairs.parquet")
    sheet = pacsv.read_csv(folder / "out" / "report" / "pairs.csv")
    listed = found["pair_list"]["benchmarks"]["things"]["pairs"]
    assert len(table) == len(sheet) == listed > 0
    one = found["benchmarks"]["things"]
    assert len(set(table["query"].to_pylist())) == one["pool"]["queries_above"]["0.5"]
    assert len(set(table["uid"].to_pylist())) == one["pool_samples"]["above"]["0.5"]
    assert f"pairs above 0.5: {listed}, in " in out


@pytest.mark.parametrize(
    ("allowed", "failing"),
    [
        (None, ["40 of 100 rows of pool (40.0 %)", "2 of 12 rows of benchmark things (16.7 %)"]),
        ("0.39", ["40 of 100 rows of pool (40.0 %)"]),
        ("0.2", ["40 of 100 rows of pool (40.0 %)"]),
        ("0.1", ["40 of 100 rows of pool (40.0 %)", "2 of 12 rows of benchmark things (16.7 %)"]),
        ("0.4", []),
    ],
)
def test_the_gate_counts_them_too(
    lossy: tuple[Path, str], cli: Run, allowed: str | None, failing: list[str]
) -> None:
    """Of the reference no row is asked for: the gate is about similarities, which thresholds do not change."""
    folder = lossy[0]
    more = [] if allowed is None else ["--allow-lost", allowed]
    code, _, errors = cli(*gated(folder, "1"), *more)
    assert code == (1 if failing else 0), errors
    assert re.findall(r"too many lost: (.*?) could not", errors) == failing
    assert "reference" not in errors


def gated(folder: Path, level: str) -> list[str]:
    """An audit into the run's own folder, whose embeddings stand."""
    named = ["--pool", str(folder / "pool"), "--benchmark", f"things={folder / 'benchmark'}"]
    named += ["--reference", str(folder / "reference"), "--out", str(folder / "out")]
    model = ["--model", str(TINY), "--pretrained", str(TINY / "open_clip_model.safetensors")]
    return ["audit", *named, *model, "--fail-above", level]


def test_the_gate_counts_queries_that_could_be_compared(lossy: tuple[Path, str], cli: Run) -> None:
    folder = lossy[0]
    code, _, errors = cli(*gated(folder, "-1"), "--allow-lost", "1")
    assert (code, "10 of 10 queries of things (100.0 %)" in errors) == (1, True), errors
    assert cli(*gated(folder, "-1:1"), "--allow-lost", "1")[0] == 0
