"""Names that benchmarks have in the field, and splits called as nearfar's own folders, through a whole run."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from export_pool import write_export_plan, write_pool
from small_sets import plan_of, unit, write_sets
from whole_runs import Run

POOL = np.concatenate([unit(10 + number, 120) for number in range(3)]).astype(np.float64)
SIMILARITY = {
    "imagenet-v2": POOL @ unit(21, 20).astype(np.float64).T,
    "CIFAR10": POOL @ unit(22, 15).astype(np.float64).T,
}
# What a split keeps: samples whose similarity to the benchmark is at most the level.
SPLITS = {
    "rescan": ("CIFAR10", 0.5),
    "surviving": ("imagenet-v2", 0.5),
    "internal": ("CIFAR10", 0.2),
    "part-0000.parquet": ("imagenet-v2", 0.2),
    "split.json": ("CIFAR10", 0.3),
    "reference": ("imagenet-v2", 0.4),
    "CIFAR10": ("CIFAR10", 0.4),
    "uid": ("imagenet-v2", 0.3),
}


def near(benchmark: str, level: float) -> list[object]:
    return [{"near": {"to": [benchmark], "threshold": level}}]


def test_names_of_the_field_and_of_internal_folders(tmp_path: Path, cli: Run) -> None:
    write_sets(tmp_path)
    plan = plan_of(tmp_path, splits={name: near(*rule) for name, rule in SPLITS.items()})
    plan["benchmarks"] = {"imagenet-v2": plan["benchmarks"]["one"], "CIFAR10": plan["benchmarks"]["two"]}
    plan["splits"]["all_of.both"] = {"from": {"union": ["rescan", "part-0000.parquet"]}}
    plan["splits"]["told"] = [{"where": '"imagenet-v2".similarity > 0.5 AND CIFAR10.similarity <= 0.9'}]
    (tmp_path / "plan.yaml").write_text(json.dumps(plan))
    code, _, errors = cli("run", str(tmp_path / "plan.yaml"))
    assert code == 0, errors
    out = tmp_path / "out"
    assert list((out / "internal" / "rescan" / "rescan" / "pool").glob("part-*.parquet")), (
        "a query lost its whole list"
    )
    parts = sorted((out / "samples" / "pool").glob("part-*.parquet"))
    uids = np.array([uid for part in parts for uid in pq.read_table(part).column("uid").to_pylist()])
    nearest = {name: similarity.max(axis=1) for name, similarity in SIMILARITY.items()}
    expected = {name: nearest[benchmark] <= level for name, (benchmark, level) in SPLITS.items()}
    expected["all_of.both"] = expected["rescan"] | expected["part-0000.parquet"]
    expected["told"] = (nearest["imagenet-v2"] > 0.5) & (nearest["CIFAR10"] <= 0.9)
    for name, kept in expected.items():
        files = sorted((out / "splits" / name).glob("part-*.parquet"))
        found = [uid for file in files for uid in pq.read_table(file).column("uid").to_pylist()]
        assert found == sorted(uids[kept]), name
        rows = pq.read_table(out / "splits" / name / "neighbours" / "part-0000.parquet").to_pylist()
        first = {(row["benchmark"], row["query"]): row["similarity"] for row in rows if row["rank"] == 1}
        truth = {
            (benchmark, query): similarity[kept, query].max()
            for benchmark, similarity in SIMILARITY.items()
            for query in range(similarity.shape[1])
            if kept.any()
        }
        assert first == truth, name
    assert cli("verify", str(out))[0] == 0


def test_a_shard_whose_name_is_no_utf8_is_renamed_as_the_message_says(tmp_path: Path, cli: Run) -> None:
    write_pool(tmp_path / "pool")
    tar, odd = tmp_path / "pool" / "00001.tar", tmp_path / "pool" / os.fsdecode(b"caf\xe9.tar")
    tar.rename(odd)
    plan = str(write_export_plan(tmp_path))
    code, _, said = cli("plan", plan)
    assert (code, "the name of 'caf\\udce9' is not UTF-8; rename the file, with all that is" in said) == (
        2,
        True,
    )
    odd.rename(tar)
    assert cli("plan", plan)[0] == 0


def test_paths_that_are_no_utf8_are_renamed_as_the_messages_say(
    tmp_path: Path, cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / os.fsdecode(b"\xfcber")
    odd = folder / "pool" / os.fsdecode(b"\xfc.parquet")
    odd.parent.mkdir(parents=True)
    with odd.open("wb") as file:
        pq.write_table(pa.table({"url": ["http://x.test/1"], "caption": ["a dog"]}), file)
    splits = {"whole": [{"where": "true"}]}
    plan = {"name": "x", "pool": {"path": "pool", "format": "laion"}, "output": "out", "splits": splits}
    (folder / "plan.yaml").write_text(yaml.safe_dump(plan))
    monkeypatch.chdir(folder)
    code, _, said = cli("plan", "plan.yaml")
    assert (code, "is not UTF-8, as a plan is; rename that folder, or run from another one" in said) == (
        2,
        True,
    )
    over = folder.rename(tmp_path / "over")
    monkeypatch.chdir(over)
    code, _, said = cli("plan", "plan.yaml")
    assert (code, "is not UTF-8, so that Arrow cannot open it; rename the file, or its folder" in said) == (
        2,
        True,
    )
    (over / "pool" / odd.name).rename(over / "pool" / "0.parquet")
    assert cli("plan", "plan.yaml")[0] == 0
