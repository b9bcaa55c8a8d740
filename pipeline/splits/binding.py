"""A rule's SQL against the columns that there are, before any row is looked at."""

# SQL is put together from quoted identifiers and checked predicates.
# ruff: noqa: S608

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import duckdb
import pyarrow as pa

from curation.predicates import path_type
from curation.rule import Rule, Scope
from indexes.errors import PlanError
from pipeline.files.database import parse_predicate, sealed

_BINDING = threading.Lock()


def check(rule: Rule, scope: Scope) -> Rule:
    """Resolve a rule, and refuse SQL that DuckDB would refuse over the pool's columns.

    Args:
        rule: The rule as a plan has it.
        scope: What it can see; where `columns` is None, expressions are parsed and no more.

    Returns:
        The rule with defaults filled in and its expressions as the parser reads them.

    Raises:
        PlanError: If the rule names what is not there, or an expression's types do not go together.
    """
    full = replace(scope, parse=parse_predicate)
    resolved = rule.resolved(full)
    if scope.columns is None:
        return resolved
    _require(resolved, full)
    for expression in resolved.selection(full).expressions():
        bind(expression, scope.columns, scope.where)
    for name, text in resolved.texts_of_sets():
        if (columns := scope.sets.get(name)) is not None:
            bind(text, columns, scope.where)
    for inner, sight in resolved.inside(full):
        check(inner, sight)
    return resolved


def _require(rule: Rule, scope: Scope) -> None:
    """Refuse a rule whose measures are not there; what a user wrote has been checked by name already."""
    columns = scope.columns or {}
    lacking = [".".join(path) for path in rule.paths(scope) if path_type(path, columns) is None]
    if lacking:
        measures = ", ".join(rule.needs) or "of these columns"
        raise PlanError(
            f"{scope.where} needs the measure {measures}, and this pool has none: {', '.join(lacking)} is not there. "
            "Give the plan what it measures, or take the rule out"
        )


def bind(expression: str, columns: Mapping[str, Any], where: str) -> None:
    """Let DuckDB work out the types of an expression over an empty table.

    Args:
        expression: SQL that has been checked.
        columns: Arrow type of each column.
        where: Place in the plan, for messages.

    Raises:
        PlanError: If they do not go together.
    """
    try:
        with _BINDING:
            db = _binder()
            db.register("empty", _empty(columns.items()))
            db.sql(f"SELECT {expression} FROM (SELECT *, NULL::UUID AS uid FROM empty) LIMIT 0").fetchall()
    except duckdb.Error as error:
        raise PlanError(
            f"{where}: {expression} does not fit the pool's columns: {str(error).splitlines()[0]}. "
            "Compare values of one type, or CAST one of them"
        ) from error


def _empty(columns: Iterable[tuple[str, Any]]) -> pa.Table:
    schema = pa.schema([(name, _bindable(kind)) for name, kind in columns])
    # Schema.empty_table would import pandas, which takes half of a run that has nothing to do.
    return pa.Table.from_batches([], schema=schema)


def _bindable(kind: Any) -> Any:
    return pa.float32() if pa.types.is_float16(kind) else kind


@cache
def _binder() -> duckdb.DuckDBPyConnection:
    return sealed()
