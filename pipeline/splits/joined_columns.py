"""Columns of a further set beside those of the pool that it joins."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipeline.sets.samples import OWN_NAMES
from pipeline.splits.pool_columns import PoolColumn, PoolColumns


@dataclass(frozen=True, slots=True)
class JoinedColumns:
    """Where each column of a set goes.

    Attributes:
        columns: All columns, of both.
        places: Each column of the set, and the column that it becomes.
    """

    columns: PoolColumns
    places: tuple[tuple[PoolColumn, PoolColumn], ...]

    def names(self) -> list[tuple[str, str]]:
        """List the set's columns in the database with what they are called there: as stored, and as rules see them."""
        pairs = ((own, there) for own, there in self.places)
        return [
            pair
            for own, there in pairs
            for pair in dict.fromkeys([(own.raw, there.raw), (own.name, there.name)])
        ]


def join_columns(there: PoolColumns, own: PoolColumns, name: str) -> JoinedColumns:
    """Put a set's own columns to those of the pool: to the one of its name and type, else behind them.

    A column of another type than the pool's, or called like a measure, is `<set>_<name>`: no value is made another.

    Args:
        there: The pool's columns, and perhaps those of sets that joined before.
        own: The set's.
        name: The set's name.
    """
    known = {column.name.lower(): column for column in (*there.own, *there.measures.values())}
    places, more = [], list(there.own)
    for column in own.own:
        same = known.get(column.name.lower())
        if same is None or not _goes_with(column, same):
            spelled = column.name
            while spelled.lower() in known:
                spelled = f"{name}_{spelled}"
            same = replace(column, name=spelled)
            known[spelled.lower()] = same
            more.append(same)
        places.append((column, same))
    return JoinedColumns(PoolColumns(tuple(more), there.measures), tuple(places))


def _goes_with(column: PoolColumn, there: PoolColumn) -> bool:
    return not there.measured and (column.type == there.type or column.stored in OWN_NAMES)
