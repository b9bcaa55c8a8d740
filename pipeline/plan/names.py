"""What a plan, a benchmark or a split may be called: names become files, folders and columns."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

from curation.measure import QUERIES, VECTORS
from pipeline.documents.yaml_scalars import SWITCH_WORDS
from pipeline.sets.samples import OWN_NAMES

NAME_PATTERN = "[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"

# A benchmark or measure is a column of a split beside a sample's own, a folder beside `pool` and `reference`, and not
# `all`; and what a measure says it needs (`image`, `text`, `queries`) must not mean another measure.
BENCHMARK_RESERVED = frozenset(
    {*OWN_NAMES, *VECTORS, QUERIES, "all", "pool", "reference", "reason", "outcome"}
)
SPLIT_RESERVED = frozenset({"all", "pool"})


def same_but_for_case(names: Iterable[str]) -> tuple[str, str] | None:
    """Find two names that differ in case alone: some file systems, and SQL, would take them for one."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.lower(), name)
        if other != name:
            return other, name
    return None


def name_problem(name: str, reserved: frozenset[str] = frozenset()) -> str | None:
    """Say why `name` cannot be a name, or None if it can."""
    if not re.fullmatch(NAME_PATTERN, name):
        return (
            f"{name!r} is not a name; a name has 1 to 64 letters, digits, underscores, hyphens and dots, begins "
            "with a letter or digit, and becomes the name of files, folders and columns"
        )
    if name.lower() in SWITCH_WORDS:
        return f"{name!r} cannot be a name: other YAML tools read it as true or false; choose another word"
    if name.lower() in reserved:
        taken = ", ".join(sorted(reserved))
        return f"{name!r} cannot be a name here, for nearfar uses it itself; taken are: {taken}"
    return None


def _valid_name(name: str) -> str:
    problem = name_problem(name)
    if problem:
        raise ValueError(problem)
    return name


def _valid_benchmark_name(name: str) -> str:
    problem = name_problem(name, BENCHMARK_RESERVED)
    if problem:
        raise ValueError(problem)
    return name


_SCHEMA = WithJsonSchema({"type": "string", "pattern": f"^{NAME_PATTERN}$"})
PlanName = Annotated[str, AfterValidator(_valid_name), _SCHEMA]
BenchmarkName = Annotated[str, AfterValidator(_valid_benchmark_name), _SCHEMA]
