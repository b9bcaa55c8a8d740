"""Rows of the pool beside their measures: files of one part, zipped row by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from indexes.errors import DataError
from pipeline.files.parquet import parquet_schema, read_batches, read_parquet
from pipeline.sets.common_type import converted
from pipeline.splits.pool_columns import PoolColumn
from pipeline.splits.requests import PoolPart

ROWS = 32_768
"""Rows of the zip that are in memory at a time."""


@dataclass(slots=True)
class RowsSeen:
    """What was come across on the way, counted.

    Attributes:
        rows: Rows of the samples, all of them.
        taken: Rows that rules see.
        duplicates: Rows that repeat a uid.
        quarantined: Rows set aside, by reason.
    """

    rows: int
    taken: int
    duplicates: int
    quarantined: dict[str, int]

    @classmethod
    def nothing(cls) -> RowsSeen:
        """Begin to count."""
        return cls(0, 0, 0, {})


def zipped(
    part: PoolPart, own: Sequence[PoolColumn], measures: Sequence[PoolColumn], seen: RowsSeen
) -> Iterator[pa.Table]:
    """Yield a part's rows that rules see, as tables with `uid` (hex), the own columns and the measures, as stored.

    Args:
        part: Its files.
        own: Columns of the samples; NULL where the part lacks one.
        measures: Measures, each with the fields that are wanted.
        seen: Is added to.

    Raises:
        DataError: If a measure's rows are not those of the samples, or a column does not fit its type.
    """
    aside = _set_aside(part, seen)
    streams = {column.name: _Stream(part.measures[column.stored], column) for column in measures}
    # Measures alone: any of them lists the rows.
    lists = part.samples or next(iter(part.measures.values()))
    for table in _samples(part, lists, own, seen):
        columns = {"uid": table.column("uid")}
        for column in own:
            columns[column.raw] = _fitted(table, column, lists)
        for name, stream in streams.items():
            columns[f"(raw) {name}"] = stream.beside(table.column("uid"), lists)
        found = pa.table(columns)
        if aside:
            found = found.filter(
                pc.invert(pc.is_in(table.column("row" if part.samples else "uid"), pa.array(aside)))
            )
        seen.taken += len(found)
        yield found
    for stream in streams.values():
        stream.finish(lists)


def _samples(part: PoolPart, path: str, own: Sequence[PoolColumn], seen: RowsSeen) -> Iterator[pa.Table]:
    there = set(parquet_schema(path).names) if own else set()
    columns = ["uid", *(["row"] if part.samples else []), *(c.stored for c in own if c.stored in there)]
    skip = pa.array(part.skip, pa.int64())
    for batch in read_batches(path, columns, rows=ROWS):
        seen.rows += batch.num_rows
        table = pa.Table.from_batches([batch])
        if part.skip:
            table = table.filter(pc.invert(pc.is_in(table.column("row"), skip)))
            seen.duplicates += batch.num_rows - len(table)
        if len(table):
            yield table


def _set_aside(part: PoolPart, seen: RowsSeen) -> list[Any]:
    """List the rows (or uids, where there are no samples) that a quarantine names, and count them by reason."""
    found: dict[Any, str] = {}
    key = "row" if part.samples else "uid"
    for path in part.quarantined:
        table = read_parquet(path, columns=[key, "reason"])
        for row, reason in zip(
            table.column(key).to_pylist(), table.column("reason").to_pylist(), strict=True
        ):
            found.setdefault(row, reason or "unknown")
    rows = [row for row in found if row not in set(part.skip)]
    for row in rows:
        seen.quarantined[found[row]] = seen.quarantined.get(found[row], 0) + 1
    return rows


class _Stream:
    """A measure's file, handed out in pieces of the length that the samples come in."""

    def __init__(self, path: str, column: PoolColumn) -> None:
        self._path, self._column = path, column
        self._fields = column.fields
        self._batches = read_batches(path, ["uid", *self._fields], rows=ROWS)
        self._waiting: list[pa.RecordBatch] = []
        self._held = 0

    def beside(self, uids: pa.ChunkedArray, samples: str) -> Any:
        """Return the measure of the next rows, whose uids must be `uids`."""
        table = self._take(len(uids))
        if len(table) < len(uids) or not table.column("uid").equals(uids):
            raise self._out_of_step(samples)
        columns = [table.column(name).combine_chunks() for name in self._fields]
        if not pa.types.is_struct(self._column.type):
            return columns[0]
        if not columns:
            return pa.nulls(len(table), self._column.type)
        return pa.StructArray.from_arrays(columns, list(self._fields))

    def finish(self, samples: str) -> None:
        """Refuse rows that are left over."""
        if self._held or any(batch.num_rows for batch in self._batches):
            raise self._out_of_step(samples)

    def _take(self, rows: int) -> pa.Table:
        while self._held < rows and (batch := next(self._batches, None)) is not None:
            self._waiting.append(batch)
            self._held += batch.num_rows
        schema = self._waiting[0].schema if self._waiting else pa.schema([("uid", pa.string())])
        table = pa.Table.from_batches(self._waiting, schema)
        rest = table.slice(rows)
        self._waiting, self._held = (rest.to_batches() if len(rest) else []), len(rest)
        return table.slice(0, rows)

    def _out_of_step(self, samples: str) -> DataError:
        return DataError(
            f"'{self._path}' and '{samples}' are out of step: a measure's file has the rows of its part, in the same "
            "order. `nearfar verify OUT --repair` on the output folder makes again what is damaged"
        )


def _fitted(table: pa.Table, column: PoolColumn, path: str) -> Any:
    if column.stored not in table.column_names:
        return pa.nulls(len(table), column.type)
    try:
        return converted(table.column(column.stored), column.type)
    except pa.ArrowException as error:
        raise DataError(
            f"'{path}': the column '{column.stored}' does not fit its type {column.type}: {error}"
        ) from error
