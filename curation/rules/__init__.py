"""One file per rule: which samples to drop, as SQL over measured columns."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from curation.selection import Rule
from indexes import registry
from indexes.errors import PlanError, UnknownNameError

__all__ = ["Rule", "dump", "names", "parse", "rule_schemas"]


def names() -> tuple[str, ...]:
    """List the rules there are."""
    return registry.names(sys.modules[__name__])


def parse(name: str, options: object, where: str = "the rule") -> Rule:
    """Read one rule of a plan.

    Args:
        name: The rule as the plan writes it.
        options: A mapping, or the one value of a rule with a shorthand (`where: "width > 200"`).
        where: Place in the plan, for messages: `splits.core[0]`.

    Raises:
        UnknownNameError: If there is no such rule.
        PlanError: If the options are not those of the rule.
    """
    adapter, kind = _adapter(_known(name, where))
    place = f"{where}.{name}"
    if kind.shorthand is not None and not isinstance(options, Mapping):
        options = {kind.shorthand: options}
    if not isinstance(options, Mapping):
        raise PlanError(f"{place} must be a mapping of options, got {options!r}; it takes: {_takes(kind)}")
    try:
        return adapter.validate_python(dict(options))
    except ValidationError as error:
        raise PlanError("\n".join(_messages(error, place, kind))) from None


def dump(rule: Rule) -> tuple[str, dict[str, Any]]:
    """Return a rule's name and its options as JSON can hold them; `parse` makes the same rule of them."""
    name = type(rule).__module__.rpartition(".")[2].replace("_", "-")
    options = {field.name: getattr(rule, field.name) for field in fields(cast(Any, rule))}
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in options.items()}
    return name, {key: value for key, value in plain.items() if value is not None}


def rule_schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON Schema of each rule's options, by name."""
    schemas: dict[str, dict[str, Any]] = {}
    for name in names():
        adapter, kind = _adapter(name)
        schema = adapter.json_schema()
        if kind.shorthand is not None:
            schema = {"anyOf": [schema["properties"][kind.shorthand], schema]}
        schemas[name] = schema
    return schemas


def _known(name: str, where: str) -> str:
    if name.replace("_", "-") not in names():
        raise UnknownNameError("rule", name, names(), f"Write one of these at {where}")
    return name


@cache
def _adapter(name: str) -> tuple[TypeAdapter[Rule], type[Rule]]:
    module = registry.load(sys.modules[__name__], "rule", name)
    kinds = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Rule) and value.__module__ == module.__name__
    ]
    if len(kinds) != 1:
        raise TypeError(f"{module.__name__} must define exactly one rule, it has {len(kinds)}")
    return TypeAdapter(kinds[0]), kinds[0]


def _takes(kind: type[Rule]) -> str:
    return ", ".join(sorted(field.name for field in fields(cast(Any, kind))))


def _messages(error: ValidationError, place: str, kind: type[Rule]) -> list[str]:
    """Write each problem once: pydantic reports every branch of a union, which is folded into one line."""
    lines: dict[str, list[str]] = {}
    for problem in error.errors():
        kind_of, got, message = problem["type"], problem["input"], problem["msg"]
        option = str(problem["loc"][0]) if problem["loc"] else ""
        if kind_of == "too_short" and got:
            continue  # its items were refused, and have their own lines
        if kind_of == "unexpected_keyword_argument":
            line = f"unknown option '{option}' at {place}; rule takes: {_takes(kind)}. Correct its name"
        elif kind_of == "missing":
            line = f"{place}.{option} is missing; rule takes: {_takes(kind)}"
        elif kind_of == "value_error":
            line = f"{place}: {message.removeprefix('Value error, ')}"
        elif option in lines:
            line = _wanted(message)
        else:
            line = f"{place}.{option} is {got!r}; it {_wanted(message)}"
        lines.setdefault(option, []).append(line)
    return [" or ".join(dict.fromkeys(parts)) for parts in lines.values()]


def _wanted(message: str) -> str:
    """Put pydantic's words into the plan's: YAML has lists, not tuples."""
    if message.startswith("Tuple should have at least"):
        return "should name at least one"
    return message.removeprefix("Input ").replace("a valid tuple", "a list of names")
