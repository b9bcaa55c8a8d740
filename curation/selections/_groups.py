"""Samples by group: what `cap` and `balance` share. A list belongs to the group of each of its values."""

# SQL is put together from quoted identifiers, checked predicates and numbers.
# ruff: noqa: S608

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.expressions import is_hashed
from curation.selection import InMemory, ReachingRows, missing, places

WHOLE = re.compile(r"-?[0-9]{1,40}")
FLOATS = ("DOUBLE", "FLOAT")
SIGMAS = 8
"""Standard deviations that hashes may lie beyond their expected place before all of them are looked at."""
TOP = 2.0**64 - 2**11
"""The highest float64 that fits the range of a hash."""


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups of some rows: how many samples each has, and which of them come first.

    Attributes:
        rows: The rows.
        query: The query of `g` (the group's value), `k` and `uid`, one row for each value of a sample. NULL and NaN are
            no group, and a sample without a key is in none.
        table: A table of each value, its text `g`, and how many samples it has, `held`.
        uniform: Whether keys are hashes, of which the lowest share is known beforehand.
    """

    rows: ReachingRows
    query: str
    table: str
    uniform: bool

    def held(self) -> dict[str, int]:
        """Count the samples of each group, in the order of their names."""
        found = self.rows.db.execute(
            f"SELECT g, sum(held) FROM {self.table} GROUP BY g ORDER BY g"
        ).fetchall()
        return {str(g): int(n) for g, n in found}

    def drawn_by_count(self, counts: Mapping[str, int], highest: bool = False) -> str:
        """Make a table of the uids that are among the first of some group, so many of each; return its name.

        Args:
            counts: How many each group keeps; one that is not named keeps none.
            highest: Which end of the keys comes first.
        """
        table = self.rows.scratch()
        self.rows.db.execute(
            f"CREATE TEMP TABLE {table} AS SELECT unnest($groups::VARCHAR[]) AS g, "
            "unnest($counts::BIGINT[]) AS wanted",
            {"groups": list(counts), "counts": list(counts.values())},
        )
        return self.drawn(f"{self.table} JOIN {table} USING (g)", "wanted", highest)

    def drawn(self, source: str, wanted: str, highest: bool = False) -> str:
        """Make a table of the uids that are among the first of some group; one may stand there several times.

        Args:
            source: The groups: the table, perhaps joined with more.
            wanted: SQL of how many a group keeps.
            highest: Which end of the keys comes first.

        Returns:
            The table's name.
        """
        db, groups = self.rows.db, self.rows.scratch()
        # Of n hashes the lowest m lie below m / n with a few deviations to spare: only those are sorted.
        share = f"({wanted} + {SIGMAS} * sqrt({wanted}) + {SIGMAS}) / held"
        db.execute(
            f"CREATE TEMP TABLE {groups} AS SELECT value, held, {wanted} AS wanted, "
            f"least({share}, 1) * {TOP} AS cut FROM {source} WHERE {wanted} > 0"
        )
        due = db.execute(f"SELECT coalesce(sum(least(wanted, held)), 0)::BIGINT FROM {groups}").fetchall()[0][
            0
        ]
        narrow = self.uniform and not highest
        table = self._first(groups, highest, "k <= cut::UBIGINT" if narrow else "true")
        if narrow and db.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0] < due:
            table = self._first(groups, highest, "true")
        return table

    def _first(self, groups: str, highest: bool, near: str) -> str:
        table, order = self.rows.scratch(), "DESC" if highest else "ASC"
        joined = f"FROM ({self.query}) JOIN {groups} ON g = value WHERE"
        place = f"row_number() OVER (PARTITION BY g ORDER BY k {order}, uid) AS place"
        first = f"SELECT uid FROM (SELECT uid, wanted, {place} {joined} held > wanted AND {near}) WHERE place <= wanted"
        self.rows.db.execute(
            f"CREATE TEMP TABLE {table} AS SELECT uid {joined} held <= wanted UNION ALL {first}"
        )
        return table


def grouped(rows: ReachingRows, by: str, key: str) -> Groups:
    """Group rows by a column or expression, and count the groups; `key` orders the samples of each."""
    query = listed(rows, by, key)
    table = rows.scratch()
    rows.db.execute(
        f"CREATE TEMP TABLE {table} AS SELECT g AS value, (g)::VARCHAR AS g, count(*) AS held "
        f"FROM ({query}) GROUP BY ALL"
    )
    return Groups(rows, query, table, is_hashed(key))


def listed(rows: ReachingRows, by: str, key: str) -> str:
    """Return the query of `g`, `k` and `uid`, as `Groups` has it."""
    kind, uniform = rows.kind(by), is_hashed(key)
    query = rows.surviving(f"{by} AS g, {key} AS k, uid")
    if kind.endswith("]"):
        # A list that says a value twice is in that group once.
        query = f"SELECT unnest(list_distinct(g)) AS g, k, uid FROM ({query})"
        kind = kind.rpartition("[")[0]
    value = known_value("g", kind)
    if kind in FLOATS:  # 0 and -0 are two texts
        value = f"({value})::VARCHAR"
    # A hash is never NULL, and a test would have it computed to count.
    place, known = (
        ("k", "") if uniform else (f"{known_value('k', rows.kind(key))} AS k", "WHERE k IS NOT NULL")
    )
    query = f"SELECT g, {place}, uid FROM (SELECT {value} AS g, k, uid FROM ({query})) WHERE g IS NOT NULL"
    return f"SELECT * FROM ({query}) {known}"


def in_no_group(rows: ReachingRows, by: str) -> str:
    """Return the SQL of whether a sample has no value, or a list of none."""
    kind = rows.kind(by)
    if not kind.endswith("]"):
        return f"(({known_value(f'({by})', kind)}) IS NULL)"
    known = f"list_filter({by}, lambda one: one = one AND one <> 'nan')" if kind[:-2] in FLOATS else by
    return f"(coalesce(len(list_distinct({known})), 0) = 0)"


def known_value(column: str, kind: str) -> str:
    """Return the SQL of a value that is NULL where it is NaN; `kind` is DuckDB's name of its type."""
    return f"nullif({column}, 'nan')" if kind in FLOATS else column


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


def entry_draw(uid: NDArray[np.uint64], seed: int, value: str) -> int:
    """Draw 64 bits for a `(2,)` uid and one of its values, as the SQL of the entry caps does; the oracle's way."""
    high, low = (int(half) for half in uid)
    named = f"{UUID(int=high << 64 | low)}:{seed}:{value}"
    return int.from_bytes(hashlib.md5(named.encode(), usedforsecurity=False).digest()[8:], "little")
