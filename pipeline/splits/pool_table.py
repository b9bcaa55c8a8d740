"""The rows of a set in DuckDB: one table, loaded once for all splits that are cut together."""

# SQL is put together from quoted identifiers, checked predicates and numbers; paths are bound.
# ruff: noqa: S608

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from curation.expressions import quoted
from pipeline.splits.accounting import Losses
from pipeline.splits.pool_columns import PoolColumn, PoolColumns
from pipeline.splits.pool_rows import ROWS, RowsSeen, zipped
from pipeline.splits.requests import PoolPart

POOL, CANDIDATES = "pool", "candidates"
"""The pool's table, and the view of it that rules see. Those of a further set have its number behind them."""


class Pool:
    """The table and what is known of it.

    Attributes:
        db: The connection, with the table and the view `view` over it.
        columns: The columns that are loaded.
        view: What rules read.
        seen: How many rows came, and what became of those that rules do not see.
        losses: The same with the rows that could not be read, once they are counted.
        sets: Further sets that splits bring in, by name, each loaded like the pool.
    """

    def __init__(self, db: duckdb.DuckDBPyConnection, columns: PoolColumns, number: int = 0) -> None:
        self.db = db
        self.columns = columns
        self.seen = RowsSeen.nothing()
        self.losses: Losses | None = None
        self.sets: dict[str, Pool] = {}
        self._table, self.view = (f"{name}_{number}" if number else name for name in (POOL, CANDIDATES))
        self._numbers = itertools.count()
        self._made: list[tuple[str, str]] = []

    def load(self, parts: Sequence[PoolPart]) -> None:
        """Bring the parts in, in order; memory holds a few thousand rows and what DuckDB may hold.

        Raises:
            DataError: If files of a part do not belong together.
        """
        own, measures = self.columns.own, tuple(self.columns.measures.values())
        columns = [(column.raw, column.type) for column in (*own, *measures)]
        schema = pa.schema([("uid", pa.string()), *((name, _loaded(kind)) for name, kind in columns)])

        tables = (table.cast(schema) for part in parts for table in zipped(part, own, measures, self.seen))
        failures: list[BaseException] = []
        reader = pa.RecordBatchReader.from_batches(schema, _noting(_gathered(tables), failures))
        self.db.register("incoming", reader)
        names = ", ".join(quoted(name) for name, _ in columns)
        try:
            self.db.execute(
                f"CREATE TABLE {self._table} AS SELECT uid::UUID AS uid{names and ', '}{names} FROM incoming"
            )
        except duckdb.Error:
            if failures:  # DuckDB wraps what the stream raised into an error of its own
                raise failures[0] from None
            raise
        finally:
            self.db.unregister("incoming")
        seen_by_rules = [
            f"{_numbers_known(column)} AS {quoted(column.name)}" for column in _twofold(own, measures)
        ]
        self.db.execute(
            f"CREATE VIEW {self.view} AS SELECT {', '.join(['*', *seen_by_rules])} FROM {self._table}"
        )

    def scratch(self, kind: str = "TABLE") -> str:
        """Return a name for a temporary table or view that nothing else has; `clear` removes it."""
        self._made.append((kind, f"scratch_{self.view}_{next(self._numbers)}"))
        return self._made[-1][1]

    def clear(self) -> None:
        """Remove the temporary tables and views of a split that is done, the later ones first."""
        for kind, name in reversed(self._made):
            self.db.execute(f"DROP {kind} IF EXISTS {name}")
        self._made.clear()
        for each in self.sets.values():
            each.clear()


def _gathered(tables: Iterable[pa.Table]) -> Iterator[pa.RecordBatch]:
    """Put tables of small parts together: DuckDB takes long over each batch, however few its rows."""
    waiting: list[pa.Table] = []
    rows = 0
    for table in tables:
        waiting.append(table)
        rows += len(table)
        if rows >= ROWS:
            yield from pa.concat_tables(waiting).combine_chunks().to_batches()
            waiting, rows = [], 0
    if waiting:
        yield from pa.concat_tables(waiting).combine_chunks().to_batches()


def _noting(batches: Iterator[Any], failures: list[BaseException]) -> Iterator[Any]:
    try:
        yield from batches
    except BaseException as error:
        failures.append(error)
        raise


def _loaded(kind: Any) -> Any:
    """DuckDB has no 16-bit floats."""
    return pa.float32() if pa.types.is_float16(kind) else kind


def _twofold(own: Sequence[PoolColumn], measures: Sequence[PoolColumn]) -> list[PoolColumn]:
    return [column for column in (*own, *measures) if column.raw != column.name]


def _numbers_known(column: PoolColumn) -> str:
    """Write a column as predicates see it: NaN is NULL, in each field of a measure too."""
    if not pa.types.is_struct(column.type):
        return _known(quoted(column.raw), column.type)
    inner = [column.type.field(place) for place in range(column.type.num_fields)]
    fields = (
        f"{quoted(each.name)} := {_known(f'{quoted(column.raw)}.{quoted(each.name)}', each.type)}"
        for each in inner
    )
    return f"struct_pack({', '.join(fields)})"


def _known(text: str, kind: Any) -> str:
    return f"nullif({text}, 'nan')" if pa.types.is_floating(kind) else text
