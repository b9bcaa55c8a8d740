from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import curation.rules
from pipeline.plan import SCHEMA_FILE, plan_schema, schema_text, write_schema
from pipeline.plan.yaml_safe import load_yaml, parse_yaml

PLANS = sorted((Path(__file__).parents[3] / "data_manifests" / "plans").glob("*.yaml"))
BASE = "{name: a, pool: {path: p}, benchmarks: {b: {path: b}}, output: o"


def problems(text: str) -> list[str]:
    validator = jsonschema.Draft202012Validator(plan_schema())
    return [error.message for error in validator.iter_errors(parse_yaml(text, "p").value)]


def test_the_committed_schema_is_the_generated_one(tmp_path: Path) -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text(), (
        "run `nearfar schema` and commit what it writes"
    )
    write_schema(tmp_path / "schema.json")
    assert json.loads((tmp_path / "schema.json").read_text()) == plan_schema()


def test_the_schema_is_one_and_has_every_rule() -> None:
    schema = plan_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    rules = [name for part in schema["$defs"]["rule"]["oneOf"] for name in part["properties"]]
    assert rules == sorted(curation.rules.names())
    assert "$defs" not in json.dumps(schema["$defs"]).replace("#/$defs/", "")


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_every_shipped_plan_is_valid(path: Path) -> None:
    assert problems(path.read_text(encoding="utf-8")) == []
    value: Any = load_yaml(path).value
    assert value["splits"]


@pytest.mark.parametrize(
    "splits",
    [
        "a: [{near: {to: all}}]",
        "a: [{near: {to: [b], threshold: 0.9}}, {random: {keep: 3, seed: 1}}]",
        "a: {from: {minus: [b, c]}, rules: [{where: 'x > 3'}]}, b: [], c: {from: b}",
        "a: [{far: {keep: 10, combine: quota}}]",
    ],
)
def test_good_splits_are_valid(splits: str) -> None:
    assert problems(f"{BASE}, splits: {{{splits}}}}}") == []


@pytest.mark.parametrize(
    "rest",
    [
        "splits: {a: [{neer: {to: all}}]}",
        "splits: {a: [{near: {too: all}}]}",
        "splits: {a: [{near: {to: all}, far: {keep: 1}}]}",
        "splits: {a: [near]}",
        "splits: {A: []}",
        "splits: {a: {rules: []}}",
        "splits: {a: {from: {minus: [b]}}}",
        "splits: {a: [{far: {keep: ten}}]}",
        "extra: 1",
        "neighbours: 0",
        "pool: 3",
    ],
)
def test_an_editor_is_told_of_what_is_wrong(rest: str) -> None:
    text = BASE.replace("pool: {path: p}, ", "") if rest.startswith("pool") else BASE
    assert problems(f"{text}, {rest}}}")
