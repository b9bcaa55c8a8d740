"""Exports that a plan asks for: made after the run, found done the next time, and checked before anything is read."""

from __future__ import annotations

import json
import shlex
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


def test_another_license_or_name_writes_the_card_again_and_no_tar(tmp_path: Path, cli: Run) -> None:
    write_pool(tmp_path / "pool")
    plan = asking(write_export_plan(tmp_path), some={"license": "cc-by-4.0"})
    out, folder = str(tmp_path / "out"), tmp_path / "out/shards/some"
    assert cli("run", plan)[0] == 0
    card, written = folder / "README.md", (folder / "00000000.tar").stat().st_mtime_ns
    assert "\nlicense: cc-by-4.0\n" in card.read_text()
    assert cli("export", out, "some", "--license", "my terms")[0] == 2
    code, _, errors = cli("export", out, "some", "--license", "https://terms.test")
    assert code == 0, errors
    assert "\nlicense_link: https://terms.test\n" in card.read_text()
    assert cli("verify", out)[0] == 0
    bare = str(write_export_plan(tmp_path))
    assert cli("run", bare, "--set", "name=other")[0] == 0
    code, said, _ = cli("verify", out)
    assert (code, "the card of some says what was so in an earlier run" in said) == (1, True)
    again = said.partition("to write it again: nearfar ")[2].splitlines()[0]
    assert cli(*shlex.split(again))[0] == 0
    assert "plan `other`" in card.read_text()
    assert "\nlicense_link: https://terms.test\n" in card.read_text()
    assert cli("verify", out)[0] == 0
    assert (folder / "00000000.tar").stat().st_mtime_ns == written


@pytest.mark.parametrize(
    ("export", "problem"),
    [
        ({"some": {"license": "my terms"}}, "got 'my terms', which names no license; give an identifier"),
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
