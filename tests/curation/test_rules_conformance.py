"""What every file under curation/rules keeps to; a new rule is picked up by itself."""

from __future__ import annotations

import ast
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import jsonschema
import pytest

from curation import measures, rules
from curation.rule import Rule, Scope
from curation.selection import Selection
from indexes import registry
from indexes.errors import PlanError
from pipeline.files.database import parse_predicate

SCOPE = Scope(benchmarks=("photo", 'it\'s "odd"'), reference=True, sets={"reference": None})
EVERY_RULE = pytest.mark.parametrize("name", rules.names())


def options_of(name: str) -> dict[str, object]:
    """The example that the rule's file holds."""
    return rules.example(name)


def rule(name: str) -> Rule:
    return rules.parse(name, options_of(name)).resolved(SCOPE)


@EVERY_RULE
def test_a_rule_is_a_frozen_slotted_dataclass_with_a_docstring(name: str) -> None:
    kind = type(rule(name))
    assert is_dataclass(kind)
    assert kind.__dataclass_params__.frozen
    assert "__slots__" in vars(kind)
    assert kind.__doc__
    assert not kind.__doc__.startswith(kind.__name__ + "(")


@EVERY_RULE
def test_a_rule_needs_measures_that_exist(name: str) -> None:
    assert {need.replace("_", "-") for need in rule(name).needs} <= set(registry.names(measures))


@EVERY_RULE
def test_a_rule_survives_its_own_options(name: str) -> None:
    first = rule(name)
    spelled, options = rules.dump(first)
    assert spelled == name
    assert rules.parse(spelled, options) == first
    assert first.resolved(SCOPE) == first


@EVERY_RULE
def test_a_rule_selects_by_text_and_numbers_alone(name: str) -> None:
    selection = rule(name).selection(SCOPE)
    assert isinstance(selection, Selection)
    assert selection == rule(name).selection(SCOPE)


@EVERY_RULE
def test_a_rule_has_words_and_sql_that_can_be_read(name: str) -> None:
    scope = replace(SCOPE, parse=parse_predicate)
    selection = rule(name).selection(scope)
    assert len(selection.words()) > 10
    assert selection.expressions()
    for expression in selection.expressions():
        parse_predicate(expression)
    measured = {path[0] for path in rule(name).paths(scope)} - set(SCOPE.benchmarks)
    declared = {*rule(name).needs, *rule(name).reads_measures()}
    own = {"width", "original_width", "original_height"}
    assert measured - own <= declared, "a measure that the SQL names must be in needs or reads_measures"


@EVERY_RULE
def test_a_rule_refuses_an_unknown_option(name: str) -> None:
    with pytest.raises(PlanError, match=f"unknown option 'surprise' at splits.a.0..{name}; rule takes: "):
        rules.parse(name, {**options_of(name), "surprise": 1}, "splits.a[0]")


@EVERY_RULE
def test_the_schema_takes_what_the_rule_takes(name: str) -> None:
    schema = rules.rule_schemas()[name]
    jsonschema.validate(options_of(name), schema)
    known = {field.name for field in fields(rule(name))}
    assert set(schema.get("properties", known)) == known
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**options_of(name), "surprise": 1}, schema)


@pytest.mark.parametrize(
    "path", sorted(Path(rules.__file__).parent.rglob("*.py")), ids=lambda path: path.stem
)
def test_a_rule_touches_no_connection_and_no_file(path: Path) -> None:
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
        )
    }
    assert not imported & {"duckdb", "pathlib", "os", "io", "pyarrow", "pipeline"}
