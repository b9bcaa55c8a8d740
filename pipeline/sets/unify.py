"""Tables whose columns differ, put together into one file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from indexes.errors import DataError
from pipeline.files.parquet import Writing, open_parquet, read_batches
from pipeline.sets.samples import OWN_NAMES


def unify(schemas: Sequence[Any]) -> Any:
    """Find one schema for tables that may lack columns of one another or have other types for them.

    Columns come in the order of the first table where all agree; else nearfar's own first, then the others by name,
    so that no table's place decides.

    Raises:
        DataError: If a column's types have nothing in common.
    """
    plain = [schema.remove_metadata() for schema in schemas]
    first = plain[0].names
    try:
        whole = pa.unify_schemas(plain, promote_options="permissive")
    except pa.ArrowException as error:
        raise DataError(f"parts of a set disagree on the type of a column: {error}") from error
    if all(schema.names == first for schema in plain):
        return whole
    own = [name for name in OWN_NAMES if name in whole.names]
    return pa.schema([whole.field(name) for name in [*own, *sorted(set(whole.names) - set(own))]])


class Assembly:
    """Rows on their way into one Parquet file; those of another schema wait beside it until all are known."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._schemas: list[Any] = []
        self._paths: list[Path] = []
        self._open: tuple[Any, Writing] | None = None
        self.rows = 0

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
        """Write the file and return its rows; at least one table, be it empty, was added.

        Raises:
            DataError: As `unify`.
        """
        self._close()
        if len(self._paths) == 1:
            self._paths[0].rename(path)
            return self.rows
        schema = unify(self._schemas)
        with open_parquet(path, schema) as writing:
            for batch in self._all(schema):
                writing.add(batch)
        return self.rows

    def _all(self, schema: Any) -> Iterator[pa.Table]:
        for waiting in self._paths:
            for batch in read_batches(waiting):
                table = pa.Table.from_batches([batch])
                for name in schema.names:
                    if name not in table.column_names:
                        table = table.append_column(name, pa.nulls(len(table), schema.field(name).type))
                yield table.select(schema.names).cast(schema)
            waiting.unlink()
