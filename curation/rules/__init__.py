"""One file per rule: which samples stay, as a selection over the pool's own and the measured columns."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any, cast

from pydantic import TypeAdapter

from curation.plugin_options import parse_options, plugin_class
from curation.rule import Rule, Scope
from indexes import registry
from indexes.errors import UnknownNameError

__all__ = ["Rule", "dump", "example", "names", "parse", "rule_schemas"]


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
    if kind.shorthand is not None and not isinstance(options, Mapping):
        options = {kind.shorthand: options}
    rule = parse_options(adapter, kind, "rule", options, f"{where}.{name}")
    rule.inside(Scope(where=f"{where}.{name}"))  # so that what is wrong inside is said with its place
    return rule


def dump(rule: Rule) -> tuple[str, dict[str, Any]]:
    """Return a rule's name and its options as JSON can hold them; `parse` makes the same rule of them."""
    name = type(rule).__module__.rpartition(".")[2].replace("_", "-")
    options = {field.name: getattr(rule, field.name) for field in fields(cast(Any, rule))}
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in options.items()}
    return name, {key: value for key, value in plain.items() if value is not None}


def example(name: str) -> dict[str, Any]:
    """Return the options of the example that a rule's file holds."""
    return dict(_adapter(name)[1].EXAMPLE)


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
    kind = plugin_class(registry.load(sys.modules[__name__], "rule", name), Rule)  # type: ignore[type-abstract]
    return TypeAdapter(kind), kind
