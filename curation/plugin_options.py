"""Options of a plan's pieces: read into the frozen dataclass of a rule or measure, mistakes said in the house form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from types import ModuleType
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from indexes.errors import PlanError

Piece = TypeVar("Piece")


def plugin_class(module: ModuleType, base: type[Piece]) -> type[Piece]:
    """Find the one class of a plugin's file that is a `base`.

    Raises:
        TypeError: If the file has none, or several; that is its author's mistake.
    """
    kinds = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, base) and value.__module__ == module.__name__
    ]
    if len(kinds) != 1:
        raise TypeError(f"{module.__name__} must define exactly one {base.__name__}, it has {len(kinds)}")
    return kinds[0]


def parse_options(
    adapter: TypeAdapter[Piece], kind: type[Piece], what: str, options: object, place: str
) -> Piece:
    """Build a piece from the options that a plan gives it.

    Args:
        adapter: Pydantic's adapter of `kind`.
        kind: The piece's dataclass.
        what: What messages call it: `rule` or `measure`.
        options: A mapping; None stands for an empty one.
        place: Place in the plan, for messages.

    Raises:
        PlanError: With a line for each mistake.
    """
    given = {} if options is None else options
    if not isinstance(given, Mapping):
        raise PlanError(f"{place} must be a mapping of options, got {given!r}; it takes: {_takes(kind)}")
    try:
        return adapter.validate_python(dict(given))
    except ValidationError as error:
        raise PlanError("\n".join(_messages(error, place, kind, what))) from None


def pinned(said: str | None, found: str, what: str, where: str) -> str:
    """Give the digest of what an option names, as it is now.

    Args:
        said: The digest that the plan gives; None where it gives none.
        found: The digest of what is there.
        what: What messages call it.
        where: Place of the piece in the plan.

    Raises:
        PlanError: If the plan gives another one.
    """
    if said not in (None, found):
        raise PlanError(
            f"{what} is not what it was: its digest is {found}, {where}.digest says {said}. Bring the former file "
            f"back, or leave {where}.digest out"
        )
    return found


def _takes(kind: type[Any]) -> str:
    return ", ".join(sorted(field.name for field in fields(cast(Any, kind)))) or "none"


def _messages(error: ValidationError, place: str, kind: type[Any], what: str) -> list[str]:
    """Write each problem once: pydantic reports every branch of a union, which is folded into one line."""
    lines: dict[str, list[str]] = {}
    for problem in error.errors():
        kind_of, got, message = problem["type"], problem["input"], problem["msg"]
        option = str(problem["loc"][0]) if problem["loc"] else ""
        if kind_of == "too_short" and got:
            continue  # its items were refused, and have their own lines
        if kind_of == "unexpected_keyword_argument":
            line = f"unknown option '{option}' at {place}; {what} takes: {_takes(kind)}. Correct its name"
        elif kind_of == "missing":
            line = f"{place}.{option} is missing; {what} takes: {_takes(kind)}"
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
