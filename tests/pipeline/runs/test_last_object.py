"""What a command ends with for programs says what its lines say, and why it ends as it does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from last_objects import last_object, stopping_in
from readme_examples import README
from small_sets import plan_of, write_plan, write_sets
from whole_runs import Run

import pipeline.run as running
from pipeline.ending.last_object import ANSWERS, answer_schema


def numbers(line: str) -> list[int]:
    return [int(found.replace(",", "")) for found in re.findall(r"\b\d[\d,]*\b(?![.:])", line)]


def line_of(output: str, name: str) -> str:
    return next(line for line in output.splitlines() if line.split()[:1] == [name])


def test_a_run_says_the_same_in_lines_and_as_an_object(sets: Path, cli: Run) -> None:
    plan = str(write_plan(sets))
    assert len(last_object(cli("plan", plan, "--json")[1])["stages"]) > 10
    code, output, _ = cli("run", plan, "--json")
    found = last_object(output)
    assert (code, found["command"], found["exit"]) == (0, "run", {"code": 0, "reasons": []})
    _, said, _ = cli("run", plan)
    for name, one in found["benchmarks"].items():
        assert numbers(line_of(said, name)) == [
            one["queries"],
            one["hard"],
            one["soft"],
            one["nearer_than_reference"],
            one["samples_above_threshold"],
        ]
    assert set(found["splits"]) == set(plan_of(sets)["splits"])
    wide = found["splits"]["wide"]
    assert [step["rule"] for step in wide["rules"]] == ["1:where", "2:near"]
    assert wide["rules"][0] == {"rule": "1:where", "offered": 0, "dropped": 100, "kept": 260}
    assert (wide["rows"], wide["kept"]) == (360, wide["rules"][1]["kept"]) == (360, 130)
    assert line_of(said, "wide").split() == [
        "wide",
        "130",
        "360",
        "36.1",
        "%",
        "1:where",
        "260,",
        "2:near",
        "130",
    ]
    assert found["rows"]["pool"] == {
        "listed": 360, "measured": 360, "lost": 0, "failed": {}, "quarantined": {}, "repeated": 0,
    }  # fmt: skip
    assert "rows that take part: pool 360, benchmark one 20, benchmark two 15, reference 60" in said
    assert found["headline"]["text"] in said
    assert f"report: {found['report']}" == said.splitlines()[-1]
    assert json.loads(Path(found["audit"]).read_text())["levels"]["soft"] == found["levels"]["soft"]
    assert all(Path(file).is_file() for file in found["pairs"]["files"])
    _, again, _ = cli("report", str(sets / "out"), "--json")
    assert last_object(again) == found | {"command": "report"}
    verified = last_object(cli("verify", str(sets / "out"), "--json")[1])
    assert (verified["exit"], verified["problems"]) == ({"code": 0, "reasons": []}, [])


def test_an_audit_says_why_it_fails(sets: Path, cli: Run) -> None:
    arguments = ["audit", "--pool", str(sets / "pool"), "--benchmark", f"one={sets / 'one'}"]
    arguments += ["--out", str(sets / "aud"), "--json"]
    code, output, errors = cli(*arguments, "--fail-above", "0.5:0.2")
    found = last_object(output)
    assert (code, found["exit"]["code"]) == (1, 1)
    (reason,) = found["exit"]["reasons"]
    assert reason == errors.splitlines()[-1]
    assert reason.startswith("too near: 20 of 20 queries of one")
    assert found["benchmarks"]["one"]["nearer_than_reference"] is None
    code, output, _ = cli(*arguments, "--fail-above", "0.9999")
    assert (code, last_object(output)["exit"]) == (0, {"code": 0, "reasons": []})


@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_refusal_is_an_object_too(sets: Path, cli: Run, command: str) -> None:
    plan = write_plan(sets, benchmarks={"one": {"path": str(sets / "nowhere"), "format": "clip-retrieval"}})
    code, output, errors = cli(command, str(plan), "--json")
    found = last_object(output)
    assert (code, found["command"]) == (2, command)
    assert found["exit"] == {"code": 2, "reasons": [errors.rstrip("\n").removeprefix("nearfar: ")]}
    assert cli(command, str(plan))[1] == "", "without --json, nothing on standard output"


def test_a_wrong_command_line_is_an_object_too(cli: Run) -> None:
    code, output, errors = cli("status", "--json")
    found = last_object(output)
    assert (code, found["exit"]["code"], found["command"]) == (2, 2, "status")
    assert found["exit"]["reasons"][0].rstrip(".") in errors


@pytest.fixture
def unfinished(tmp_path: Path, cli: Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that stopped after one of the units that compare the reference."""
    write_sets(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(running, "do_wave", stopping_in("calibrate", 1))
        assert cli("run", str(write_plan(tmp_path)))[0] == 2
    return tmp_path


def test_report_on_an_unfinished_run_says_so(unfinished: Path, cli: Run) -> None:
    code, output, errors = cli("report", str(unfinished / "out"), "--json")
    assert code == 2
    assert "holds a run that has not finished; run its plan again" in errors
    assert last_object(output)["exit"]["reasons"] == [errors.rstrip("\n").removeprefix("nearfar: ")]
    assert not (unfinished / "out" / "report").exists(), "it resumes nothing"
    assert cli("run", str(unfinished / "plan.yaml"))[0] == 0
    assert cli("report", str(unfinished / "out"))[0] == 0


def test_the_readme_names_every_field() -> None:
    """Its table has a row for every command that answers, and in it every field of the answer."""
    text = README[README.index("| `--json` of |") :].partition("\n\n")[0]
    rows = [row.split("|")[1:3] for row in text.splitlines()[2:]]
    told = {
        name: re.findall(r"`(\w+)`", said) for names, said in rows for name in re.findall(r"`(\w+)`", names)
    }
    assert set(told) == set(ANSWERS)
    for command, kind in ANSWERS.items():
        fields = list(kind.__dataclass_fields__)
        assert [field for field in fields if field in told[command]] == fields, command
    said = {one["properties"]["command"].get("const") for one in answer_schema()["anyOf"]}
    assert said == {*ANSWERS, None}


def test_the_schema_is_printed(cli: Run) -> None:
    assert json.loads(cli("schema", "answer")[1]) == answer_schema()
    assert "properties" in json.loads(cli("schema")[1])
