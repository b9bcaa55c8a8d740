"""One file per measure: what it looks at and which columns it writes."""

from __future__ import annotations

import sys
from dataclasses import fields
from functools import cache
from typing import Any, cast

from pydantic import TypeAdapter

from curation.measure import Measure
from curation.plugin_options import parse_options, plugin_class
from indexes import registry
from indexes.errors import UnknownNameError

__all__ = ["Measure", "dump", "kind_of", "measure_schemas", "names", "parse"]


def names() -> tuple[str, ...]:
    """List the measures there are."""
    return registry.names(sys.modules[__name__])


def parse(name: str, options: object, where: str = "the measure") -> Measure:
    """Read a measure's options as a plan writes them.

    Args:
        name: The measure: the name of a file in this folder.
        options: A mapping, or None for the defaults.
        where: Place in the plan, for messages: `measures.clusters`.

    Raises:
        UnknownNameError: If there is no such measure; the message lists what there is.
        PlanError: If an option is unknown, missing or out of range.
    """
    adapter, kind = _adapter(_spelled(name, where))
    return parse_options(adapter, kind, "measure", options, where).resolved(where)


def dump(measure: Measure) -> dict[str, Any]:
    """Write a measure's options as a plan has them, without what is None."""
    given = {each.name: getattr(measure, each.name) for each in fields(cast(Any, measure))}
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in given.items()}
    return {key: value for key, value in plain.items() if value is not None}


def kind_of(measure: Measure) -> str:
    """Name a measure by the file that it comes from, as columns and folders call it: `clip_score`."""
    return type(measure).__module__.rpartition(".")[2]


def measure_schemas() -> dict[str, dict[str, Any]]:
    """Describe each measure's options as JSON Schema, by name."""
    return {name: _adapter(name)[0].json_schema() for name in names()}


def _spelled(name: str, where: str) -> str:
    if name.replace("_", "-") not in names():
        raise UnknownNameError("measure", name, names(), f"Write one of these at {where}")
    return name


@cache
def _adapter(name: str) -> tuple[TypeAdapter[Measure], type[Measure]]:
    module = registry.load(sys.modules[__name__], "measure", name)
    kind = plugin_class(module, Measure)  # type: ignore[type-abstract]
    return TypeAdapter(kind), kind
