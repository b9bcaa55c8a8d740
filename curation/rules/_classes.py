"""Columns of classes: what the rules that decide by them share. A column may hold one value a sample, or a list."""

from __future__ import annotations

from collections.abc import Sequence

from curation.expressions import number, text
from curation.predicates import named_paths, path_type
from curation.rule import Scope
from indexes.errors import PlanError

FOUND = "classes.found"
"""The measure's list of class positions, empty where a caption names none."""
SINGLE = "classes.single"
"""The measure's one class, NULL unless there is exactly one."""


def holds_lists(by: str, scope: Scope) -> bool:
    """Tell whether `by` gives a list for each sample; an expression other than a column gives one value.

    Before the pool is known, the measure's own list is one and any other column is none.
    """
    if scope.parse is None or scope.columns is None:
        return by == FOUND
    tree = scope.parse(by).tree
    if tree.get("class") == "FUNCTION":
        return str(tree["function_name"]).lower() == "list_value"
    if tree.get("class") != "COLUMN_REF":
        return False
    kind = path_type(named_paths(tree)[0], scope.columns)
    return kind is not None and str(kind).startswith(("list<", "large_list<", "fixed_size_list<"))


def how_many(by: str, lists: bool) -> str:
    """Return the SQL of how many different classes a sample has; NULL where that is not known."""
    if lists:
        return f"len(list_distinct({by}))"
    return f"CASE WHEN ({by}) IS NULL THEN NULL ELSE 1 END"


def among(by: str, lists: bool, values: Sequence[int | str]) -> str:
    """Return the SQL of whether a sample has one of some classes."""
    written = ", ".join(literal(value) for value in values)
    return f"list_has_any({by}, [{written}])" if lists else f"({by}) IN ({written})"


def literal(value: int | str) -> str:
    """Write a class as SQL."""
    return text(value) if isinstance(value, str) else number(value)


def refuse_repeats(values: Sequence[int | str], place: str) -> None:
    """Refuse a list that says a class twice.

    Raises:
        PlanError: With the class.
    """
    seen: set[int | str] = set()
    for value in values:
        if value in seen:
            raise PlanError(f"{place} names the class {value!r} twice; name each one once")
        seen.add(value)
