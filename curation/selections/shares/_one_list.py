"""Samples by class where two sets spell their classes differently: each value is brought into one list first."""

# SQL is put together from checked expressions.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curation.classes.by_name._called import plain_name
from curation.expressions import hashed, text
from curation.selection import SOURCE, InMemory, ReachingRows, counted
from curation.selection import places as in_order
from curation.selections import _groups
from curation.selections._groups import Groups

Places = tuple[tuple[str, str], ...]
"""Texts, each with the class that it says; a text that is not among them is looked for in its plain form."""


@dataclass(frozen=True, slots=True)
class SetClasses:
    """The classes of a further set's samples.

    Attributes:
        name: The set.
        by: SQL of a sample's class, or list of classes, over the set's own columns.
        key: SQL of the number by which its samples come first, the highest; the hash of a seed if empty.
    """

    name: str
    by: str
    key: str = ""


def classed(rows: ReachingRows, by: str, key: str, places: Places) -> Groups:
    """Group rows by class in one list; with no list, by their values. What is not in the list is in no group."""
    found = _groups.grouped(rows, by, key)
    if not places:
        return found
    known = dict(places)
    written = [g for (g,) in rows.db.execute(f"SELECT DISTINCT g FROM {found.table} ORDER BY g").fetchall()]
    pairs = [(one, place) for one in written if (place := _place(one, known)) is not None]
    names, table = rows.scratch(), rows.scratch()
    rows.db.execute(
        f"CREATE TEMP TABLE {names} AS SELECT unnest($written::VARCHAR[]) AS written, "
        "unnest($places::VARCHAR[]) AS place",
        {"written": [one for one, _ in pairs], "places": [place for _, place in pairs]},
    )
    # A list may say one class in two ways.
    each = "DISTINCT " if rows.kind(by).endswith("]") else ""
    query = f"SELECT {each}place AS g, k, uid FROM ({found.query}) JOIN {names} ON (g)::VARCHAR = written"
    rows.db.execute(
        f"CREATE TEMP TABLE {table} AS SELECT g AS value, g, count(*) AS held FROM ({query}) GROUP BY ALL"
    )
    return Groups(rows, query, table, found.uniform)


def members_of(
    columns: InMemory, by: str, key: str, places: Places, highest: bool = False
) -> dict[str, list[int]]:
    """List each class's rows in one list, the first to stay first; the oracle's way."""
    groups = _groups.members(columns, by, key, highest)
    if not places:
        return groups
    order = in_order(columns.of(key), columns.uids, highest).tolist()
    known, rank = dict(places), {row: n for n, row in enumerate(order)}
    found: dict[str, set[int]] = {}
    for written, rows in groups.items():
        place = _place(written, known)
        if place is not None:
            found.setdefault(place, set()).update(rows)
    return {place: sorted(rows, key=rank.__getitem__) for place, rows in found.items()}


def held_by(side: SetClasses, rows: ReachingRows, places: Places) -> dict[str, int]:
    """Count the samples of each class of a further set."""
    return classed(rows.offered(counted(side.name)), side.by, hashed(0), places).held()


def held_in_memory(side: SetClasses, columns: InMemory, places: Places) -> dict[str, int]:
    """Count them as the oracle does."""
    groups = members_of(columns.offered(counted(side.name)), side.by, hashed(0), places)
    return {group: len(rows) for group, rows in sorted(groups.items())}


def of(name: str) -> str:
    """Return the SQL of whether a sample is one of a further set."""
    return f"{SOURCE} = {text(name)}"


def is_of(columns: InMemory, name: str) -> NDArray[np.bool_]:
    """Return `(n,)`: which rows are samples of a further set."""
    return np.array([each == name for each in columns.of(SOURCE).to_pylist()], dtype=bool)


def names_of(columns: InMemory) -> list[tuple[int, int]]:
    """List the uids of rows in memory, as pairs."""
    return [(int(high), int(low)) for high, low in columns.uids.tolist()]


def _place(written: str, known: Mapping[str, str]) -> str | None:
    return known.get(written, known.get(plain_name(written)))
