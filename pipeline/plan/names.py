"""What a plan, a benchmark or a split may be called: names become files, folders and columns."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

from pipeline.plan.yaml_scalars import SWITCH_WORDS

NAME_PATTERN = "[a-z0-9][a-z0-9_]{0,63}"

# A benchmark is a column of a split beside these, a folder beside `pool` and `reference`, and not `all`.
BENCHMARK_RESERVED = frozenset(
    {
        "all",
        "pool",
        "reference",
        "uid",
        "key",
        "url",
        "caption",
        "label",
        "part",
        "row",
        "image_sha256",
        "reason",
        "outcome",
    }
)
# neighbours/parts is a folder of the measuring stage, where a split has its own folder too.
SPLIT_RESERVED = frozenset({"parts", "all", "pool"})


def name_problem(name: str, reserved: frozenset[str] = frozenset()) -> str | None:
    """Say why `name` cannot be a name, or None if it can."""
    if not re.fullmatch(NAME_PATTERN, name):
        return (
            f"{name!r} is not a name; a name has 1 to 64 lower-case letters, digits and underscores, begins "
            "with a letter or digit, and becomes the name of files, folders and columns"
        )
    if name in SWITCH_WORDS:
        return f"{name!r} cannot be a name: other YAML tools read it as true or false; choose another word"
    if name in reserved:
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
