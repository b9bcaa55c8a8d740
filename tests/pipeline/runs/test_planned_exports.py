"""Exports that a plan asks for: made after the run, found done the next time, and checked before anything is read."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from export_pool import grouped, write_export_plan, write_pool
from image_pools import write_images, write_images_plan
from small_sets import write_plan
from test_export_cls import numbers, write_numbered
from typer.main import get_command
from whole_runs import Run

from pipeline.command_line.application import app
from pipeline.execution.progress import Progress
from pipeline.passes.plan_rules import columns_of_split
from pipeline.plan import PlannedExport, load_plan
from pipeline.run import RunOptions, execute, open_run
from pipeline.stages.exporting._class_numbers import columns_there

HOW = ("out", "split", "workers", "scheduler", "as_json", "help")
"""Whence and how a command exports; a plan says what."""


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
    plan = asking(Path(write_plan(sets)), pruned={})
    for command in ("plan", "run"):
        code, _, errors = cli(command, plan)
        assert (code, "holds no tars to export from" in errors) == (2, True), errors
    assert not (sets / "out/commits").exists()


def test_a_plan_has_the_words_of_the_command() -> None:
    options = get_command(app).commands["export"].params  # type: ignore[attr-defined]
    words = {
        one.opts[0].removeprefix("--").replace("-", "_"): one.default
        for one in options
        if one.name not in HOW
    }
    assert words.keys() == PlannedExport.model_fields.keys()
    assert words == PlannedExport().model_dump()


def test_a_plan_lists_image_files_as_the_command_does(tmp_path: Path, cli: Run) -> None:
    write_images(tmp_path / "pool")
    plan = write_images_plan(tmp_path)
    assert cli("run", str(plan))[0] == 0
    assert cli("export", str(tmp_path / "out"), "cats", "--csv", "--seed", "2")[0] == 0
    table = tmp_path / "out/shards/cats/samples.csv"
    written = (table.read_bytes(), table.stat().st_mtime_ns)
    code, said, errors = cli("run", asking(plan, cats={"csv": True, "seed": 2}))
    assert code == 0, errors
    assert f"--dataset-type csv --train-data {table}" in said
    assert (table.read_bytes(), table.stat().st_mtime_ns) == written


@pytest.mark.parametrize(
    ("export", "problem", "then"),
    [
        ({}, "add export.cats.csv: true", {"csv": True}),
        ({"csv": True, "cls": "height"}, "no class; leave export.cats.cls out", {"csv": True}),
    ],
    ids=("tars of no tars", "a class in a csv"),
)
def test_what_a_plan_cannot_have_of_image_files(
    export: dict[str, Any], problem: str, then: dict[str, Any], tmp_path: Path, cli: Run
) -> None:
    write_images(tmp_path / "pool")
    plan = write_images_plan(tmp_path)
    code, _, errors = cli("run", asking(plan, cats=export))
    assert (code, problem in errors) == (2, True), errors
    assert not (tmp_path / "out").exists()
    assert cli("run", asking(plan, cats=then))[0] == 0


def test_a_plan_writes_classes_and_refuses_what_is_none_before_it_reads(tmp_path: Path, cli: Run) -> None:
    plan, out = write_numbered(tmp_path), tmp_path / "out"
    for split, column, there in (
        ("classed", "caption", "but repeat, height, classes.single"),
        ("whole", "classes.single", "but height; name one of these"),
    ):
        for command in ("plan", "run"):
            code, _, errors = cli(command, asking(plan, **{split: {"cls": column}}))
            assert (code, f"export.{split}.cls {column}: " in errors, there in errors) == (2, True, True), (
                errors
            )
    assert not (out / "commits").exists()
    code, _, errors = cli("run", asking(plan, classed={"cls": "classes.single"}, whole={"cls": "height"}))
    assert code == 0, errors
    assert numbers(out / "shards/classed") == {"a": b"0", "b": b"1", "c": b"own", "d": b"1"}
    assert numbers(out / "shards/whole") == {"a": b"4", "b": b"5", "c": b"own", "d": b"7"}


def test_a_csv_of_tars_is_refused(tmp_path: Path, cli: Run) -> None:
    write_pool(tmp_path / "pool")
    plan = write_export_plan(tmp_path)
    code, _, errors = cli("run", asking(plan, some={"csv": True}))
    assert (code, "export tars, without export.some.csv: true" in errors) == (2, True), errors
    assert cli("run", asking(plan, some={}))[0] == 0


def test_the_columns_of_splits_are_known_before_anything_is_read(small_world: Path, tmp_path: Path) -> None:
    """As their files have them: with repeats, fields of measures, and columns of further sets beside the pool's."""
    splits = {
        "whole": [{"where": "true"}],
        "worded": [{"where": "captions.words > 1"}, {"repeat": {"times": "2"}}],
        "joined": [{"add": {"source": "further", "rules": [{"random": {"keep": 5}}]}}],
        "both": {"from": {"union": ["worded", "joined"]}, "rules": [{"where": "width > 0 OR true"}]},
    }
    plan = {
        "name": "columns",
        "pool": {"path": str(small_world / "pool"), "format": "img2dataset"},
        "sources": {"further": {"path": str(small_world / "reference"), "format": "image-folder"}},
        "splits": splits,
        "output": str(tmp_path / "out"),
    }
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    loaded = load_plan(tmp_path / "plan.yaml", [])
    run = open_run(loaded, RunOptions())
    before = {name: columns_of_split(run, name) for name in splits}
    with Progress(tmp_path / "out", live=False) as progress:
        done = execute(loaded, RunOptions(), progress)
    for name, columns in before.items():
        assert [("uid", pa.string()), *((one.name, one.type) for one in columns)] == [
            (one.name, one.type) for one in columns_there(done, name)
        ], name
