"""What `nearfar audit` advises leads out: each test does what the message says, and the command then succeeds."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from small_sets import rows_of, unit, write_part
from whole_runs import Run


def audit(cli: Run, sets: Path, *more: str, **replaced: str) -> tuple[int, str, str]:
    options = {"pool": str(sets / "pool"), "benchmark": f"one={sets / 'one'}", "out": str(sets / "aud")}
    named = [item for name, value in (options | replaced).items() for item in (f"--{name}", value)]
    return cli("audit", *named, *more)


def advised(errors: str) -> list[str]:
    """The options that a message says to give or to add."""
    found = re.search(r"(?:give|add) (--(?:set|pool|benchmark|reference) [^;,]+)", errors)
    assert found, errors
    return shlex.split(found[1])


def follow(cli: Run, sets: Path, errors: str) -> None:
    option, value = advised(errors)
    code, _, errors = audit(cli, sets, **{option.removeprefix("--"): value})
    assert code == 0, errors


def test_a_path_that_is_not_there(sets: Path, cli: Run) -> None:
    for option, value in (("pool", "nowhere"), ("benchmark", "one=nowhere"), ("reference", "nowhere")):
        code, _, errors = audit(cli, sets, **{option: value})
        assert (code, "there is no such file or folder; correct the path" in errors) == (2, True)
        assert f"--{option} {value}" in errors


@pytest.mark.parametrize("folder", ["inner", "two words"])
def test_a_folder_one_level_too_high(sets: Path, cli: Run, folder: str) -> None:
    (sets / "outer").mkdir()
    shutil.move(sets / "pool", sets / "outer" / folder)
    code, _, errors = audit(cli, sets, pool=str(sets / "outer"))
    assert (code, f"its folder '{folder}' looks like clip-retrieval" in errors) == (2, True)
    follow(cli, sets, errors)


def test_a_folder_one_level_too_low(sets: Path, cli: Run) -> None:
    code, _, errors = audit(cli, sets, benchmark=f"one={sets / 'one' / 'img_emb'}")
    assert (code, "the folder that holds it 'one' looks like clip-retrieval" in errors) == (2, True)
    follow(cli, sets, errors)


def test_what_no_reader_takes(sets: Path, cli: Run) -> None:
    (sets / "alone" / "notes").mkdir(parents=True)
    (sets / "alone" / "notes" / "a.doc").write_text("x")
    code, _, errors = audit(cli, sets, reference=str(sets / "alone" / "notes"))
    assert (code, "nearfar reads clip-retrieval, " in errors) == (2, True)
    assert "plan file" not in errors


def test_several_formats_fit(sets: Path, cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.auditing.detect", lambda path: ("clip-retrieval", "img2dataset"))
    code, _, errors = audit(cli, sets)
    assert (code, "several formats fit" in errors) == (2, True)
    monkeypatch.undo()
    option = advised(errors)
    assert option == ["--set", "pool.format=clip-retrieval"]
    assert audit(cli, sets, *option)[0] == 0


def test_a_format_that_is_told_is_not_looked_for(sets: Path, cli: Run) -> None:
    code, _, errors = audit(cli, sets, "--set", "benchmarks.one.format=img2dataset")
    assert (code, "not in the format 'img2dataset'" in errors) == (2, True)
    assert audit(cli, sets, "--set", "benchmarks.one.format=clip-retrieval")[0] == 0


def test_repeated_samples_are_kept_once_as_the_message_says(sets: Path, cli: Run) -> None:
    write_part(sets / "pool", 3, unit(10, 4), rows_of("p", 0, 4))
    code, _, errors = audit(cli, sets)
    assert code == 2
    said = re.search(r"Set (pool\.duplicates): (keep_first)", errors)
    assert said, errors
    # Into the same folder as the failed try.
    code, _, errors = audit(cli, sets, "--set", f"{said[1]}={said[2]}")
    assert code == 0, errors
    found = json.loads((sets / "aud" / "report" / "audit.json").read_text())
    assert (found["rows"]["pool"]["listed"], found["rows"]["pool"]["repeated"]) == (364, 4)


def test_levels_pairs_and_neighbours_may_be_said(sets: Path, cli: Run) -> None:
    chosen = ("audit.soft=0.5", "audit.hard=0.6", "audit.pairs=3", "neighbours=4")
    code, _, errors = audit(cli, sets, *(item for one in chosen for item in ("--set", one)))
    assert code == 0, errors
    found = json.loads((sets / "aud" / "report" / "audit.json").read_text())
    assert (found["levels"]["hard"], found["levels"]["soft"]) == (0.6, 0.5)
    pool, queries = (
        np.concatenate([np.load(file) for file in sorted((sets / name / "img_emb").glob("*.npy"))])
        for name in ("pool", "one")
    )
    nearest = (pool.astype(np.float64) @ queries.astype(np.float64).T).max(axis=0)
    assert found["benchmarks"]["one"]["pool"]["queries_above"]["0.6"] == int((nearest > 0.6).sum())


def test_an_option_that_a_plan_has_not_is_named(sets: Path, cli: Run) -> None:
    code, _, errors = audit(cli, sets, "--set", "pool.duplicate=keep_first")
    assert (code, "duplicates" in errors) == (2, True)


def test_weights_without_a_model_are_refused(sets: Path, cli: Run) -> None:
    code, _, errors = audit(cli, sets, "--pretrained", "openai")
    assert (code, "give --model too" in errors) == (2, True)
