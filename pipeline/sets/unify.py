"""Tables whose columns differ, put together into one file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa

from pipeline.files.parquet import Writing, open_parquet, parquet_schema, read_batches
from pipeline.sets.common_type import TEXT, common_type, converted, different
from pipeline.sets.samples import OWN_NAMES

ColumnValues: TypeAlias = Callable[[str], Iterable[Any]]
"""Gives the values of a column, by its name, as arrays of the types that tables have for it."""


def unify(schemas: Sequence[Any], values: ColumnValues) -> Any:
    """Find one schema for tables that may lack columns of one another or have other types for them.

    Columns come in the order of the first table where all agree; else nearfar's own first, then the others by name,
    so that no table's place decides. A column's type is one that changes no value; see `common_type`.

    Args:
        schemas: Arrow schema of each table, at least one.
        values: Gives a column's values; called for the few whose types alone do not decide.
    """
    kinds: dict[str, dict[Any, None]] = {}
    for schema in schemas:
        for field in schema:
            kinds.setdefault(field.name, {})[field.type] = None
    names = schemas[0].names
    if any(schema.names != names for schema in schemas):
        own = [name for name in OWN_NAMES if name in kinds]
        names = [*own, *sorted(set(kinds) - set(own))]
    return pa.schema([(name, common_type(kinds[name], partial(values, name))) for name in names])


def values_of(paths: Sequence[Path | str]) -> ColumnValues:
    """Read columns out of Parquet files of which some may lack them."""

    def values(name: str) -> Iterator[Any]:
        for path in paths:
            if name in parquet_schema(path).names:
                yield from (batch.column(0) for batch in read_batches(path, [name]))

    return values


def retyped(schemas: Sequence[Any], whole: Any) -> list[str]:
    """Say of which columns the tables have different types, and what they are in the `whole` schema."""
    notes = []
    for field in whole:
        kinds = different([each.field(field.name).type for each in schemas if field.name in each.names])
        if len(kinds) > 1:
            *some, last = sorted(map(str, kinds))
            became = "text" if field.type == TEXT else field.type
            notes.append(
                f"column '{field.name}' is {', '.join(some)} in some files and {last} in others; "
                f"it is {became} in all, so that no value changes"
            )
    return notes


class Assembly:
    """Rows on their way into one Parquet file; those of another schema wait beside it until all are known.

    Attributes:
        rows: How many came so far.
        notes: Which columns had to change their type; known when the file is written.
    """

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._schemas: list[Any] = []
        self._paths: list[Path] = []
        self._open: tuple[Any, Writing] | None = None
        self.rows = 0
        self.notes: list[str] = []

    def add(self, table: pa.Table) -> None:
        """Take the next rows."""
        schema = table.schema.remove_metadata()
        if self._open is None or schema != self._schemas[-1]:
            self._close()
            path = self._scratch / f"rows-{len(self._paths)}.parquet"
            context = open_parquet(path, schema)
            self._open = (context, context.__enter__())
            self._schemas.append(schema)
            self._paths.append(path)
        self._open[1].add(table)
        self.rows += len(table)

    def _close(self) -> None:
        if self._open is not None:
            self._open[0].__exit__(None, None, None)
            self._open = None

    def write(self, path: Path) -> int:
        """Write the file and return its rows; at least one table, be it empty, was added."""
        self._close()
        if len(self._paths) == 1:
            self._paths[0].rename(path)
            return self.rows
        schema = unify(self._schemas, values_of(self._paths))
        self.notes = retyped(self._schemas, schema)
        with open_parquet(path, schema) as writing:
            for batch in self._all(schema):
                writing.add(batch)
        return self.rows

    def _all(self, schema: Any) -> Iterator[pa.Table]:
        for waiting in self._paths:
            for batch in read_batches(waiting):
                table = pa.Table.from_batches([batch])
                yield pa.table([_fitted(table, field) for field in schema], schema=schema)
            waiting.unlink()


def _fitted(table: pa.Table, field: Any) -> Any:
    if field.name not in table.column_names:
        return pa.nulls(len(table), field.type)
    return converted(table.column(field.name), field.type)
