"""Samples by group: what `cap` and `balance` share. A list belongs to the group of each of its values."""

# SQL is put together from quoted identifiers, checked predicates and numbers.
# ruff: noqa: S608

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.selection import InMemory, ReachingRows, missing, places

WHOLE = re.compile(r"-?[0-9]{1,40}")


def grouped(rows: ReachingRows, by: str, key: str) -> str:
    """Return the query of `g` (the group's value as text), `k` and `uid`, one row for each value of a sample.

    NULL and NaN are no group, and a sample without a key is in none.
    """
    kind = rows.kind(by)
    query = rows.surviving(f"{by} AS g, {key} AS k, uid")
    if kind.endswith("]"):
        # DISTINCT: a list that says a value twice is in that group once.
        query = f"SELECT DISTINCT unnest(g) AS g, k, uid FROM ({query})"
        kind = kind.rpartition("[")[0]
    value, place = known_value("g", kind), known_value("k", rows.kind(key))
    known = f"{value} IS NOT NULL AND {place} IS NOT NULL"
    return f"SELECT ({value})::VARCHAR AS g, {place} AS k, uid FROM ({query}) WHERE {known}"


def counted(rows: ReachingRows, query: str) -> dict[str, int]:
    """Count the samples of each group, in the order of their names; `query` is as `grouped` gives it."""
    found = rows.db.execute(f"SELECT g, count(*) FROM ({query}) GROUP BY g ORDER BY g").fetchall()
    return {str(g): int(n) for g, n in found}


def known_value(column: str, kind: str) -> str:
    """Return the SQL of a value that is NULL where it is NaN; `kind` is DuckDB's name of its type."""
    return f"nullif({column}, 'nan')" if kind in ("DOUBLE", "FLOAT") else column


def drawn(rows: ReachingRows, query: str, highest: bool, wanted: str) -> str:
    """Make a table of the uids that are among the first of some group; return its name.

    Args:
        rows: The rows that reach the rule.
        query: As `grouped` gives it, perhaps with more columns.
        highest: Which end of the keys comes first.
        wanted: SQL of how many a group keeps.
    """
    table = rows.scratch()
    order = "DESC" if highest else "ASC"
    rows.db.execute(
        f"CREATE TEMP TABLE {table} AS SELECT DISTINCT uid FROM (SELECT *, row_number() OVER "
        f"(PARTITION BY g ORDER BY k {order}, uid) AS place FROM ({query})) WHERE place <= {wanted}"
    )
    return table


def drawn_by_count(rows: ReachingRows, query: str, counts: Mapping[str, int], highest: bool = False) -> str:
    """Make a table of the uids that are among the first of some group, so many of each; return its name.

    Args:
        rows: The rows that reach the rule.
        query: As `grouped` gives it.
        counts: How many each group keeps; one that is not named keeps none.
        highest: Which end of the keys comes first.
    """
    table = rows.scratch()
    rows.db.execute(
        f"CREATE TEMP TABLE {table} AS SELECT unnest($groups::VARCHAR[]) AS g, "
        "unnest($counts::BIGINT[]) AS wanted",
        {"groups": list(counts), "counts": list(counts.values())},
    )
    return drawn(rows, f"SELECT k, uid, g, wanted FROM ({query}) JOIN {table} USING (g)", highest, "wanted")


def members(columns: InMemory, by: str, key: str, highest: bool) -> dict[str, list[int]]:
    """List each group's rows, the first to stay first; the oracle's way."""
    values = columns.of(by)
    order = places(columns.of(key), columns.uids, highest)
    texts = [_texts(value) for value in _plain(values)]
    groups: dict[str, list[int]] = {}
    for row in order.tolist():
        for text in texts[row]:
            groups.setdefault(text, []).append(row)
    return groups


def firsts(groups: dict[str, list[int]], wanted: dict[str, int]) -> NDArray[np.int64]:
    """List the rows that are among the first of some group."""
    found = {row for group, rows in groups.items() for row in rows[: wanted.get(group, 0)]}
    return np.array(sorted(found), np.int64)


def _plain(values: Any) -> list[Any]:
    if pa.types.is_floating(values.type):
        return [
            None if gone else value for gone, value in zip(missing(values), values.to_pylist(), strict=True)
        ]
    return list(values.to_pylist())


def _texts(value: Any) -> Sequence[str]:
    """Name the groups of one value, each once, as DuckDB writes values."""
    if value is None:
        return ()
    each = value if isinstance(value, list) else [value]
    known = [one for one in each if one is not None and one == one]
    return tuple(dict.fromkeys(_written(one) for one in known))


def class_order(groups: Iterable[str]) -> dict[str, int]:
    """Give each group its place: whole numbers by size where all are, else texts by code points."""
    names = list(groups)
    whole = all(WHOLE.fullmatch(name) for name in names)
    return {name: place for place, name in enumerate(sorted(names, key=int if whole else None))}


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
