"""The rows that splits choose from: one table in DuckDB, loaded once for all splits that are cut together."""

# SQL is put together from quoted identifiers, checked predicates and numbers; paths are bound.
# ruff: noqa: S608

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import duckdb
import pyarrow as pa

from curation.expressions import quoted, shown
from curation.predicates import named_paths
from curation.selection import Decision, Listing
from pipeline.files.database import files, parse_predicate
from pipeline.splits.listings import read_names
from pipeline.splits.pool_columns import ALIAS, PoolColumn, PoolColumns
from pipeline.splits.pool_rows import ROWS, RowsSeen, zipped
from pipeline.splits.requests import PoolPart

_OPERATIONS = {"union": "UNION", "intersect": "INTERSECT", "minus": "EXCEPT"}


class Pool:
    """The table and what is known of it.

    Attributes:
        db: The connection, with the table `pool` and the view `candidates` over it.
        columns: The columns that are loaded.
        seen: How many rows came, and what became of those that rules do not see.
    """

    def __init__(self, db: duckdb.DuckDBPyConnection, columns: PoolColumns) -> None:
        self.db = db
        self.columns = columns
        self.seen = RowsSeen.nothing()
        self._numbers = itertools.count()
        self._made: list[str] = []

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
                f"CREATE TABLE pool AS SELECT uid::UUID AS uid{names and ', '}{names} FROM incoming"
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
        self.db.execute(f"CREATE VIEW candidates AS SELECT {', '.join(['*', *seen_by_rules])} FROM pool")

    def scratch(self) -> str:
        """Return a name for a temporary table that nothing else has; `clear` removes the table."""
        self._made.append(f"scratch_{next(self._numbers)}")
        return self._made[-1]

    def clear(self) -> None:
        """Remove the temporary tables of a split that is done."""
        for name in self._made:
            self.db.execute(f"DROP TABLE IF EXISTS {name}")
        self._made.clear()


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


@dataclass(frozen=True, slots=True)
class PoolRows:
    """Samples that may stay: those of the pool (or of `from`) that no predicate has dropped yet.

    Attributes:
        pool: The table.
        sizes: Size of each split that the rules name.
        member: Name of a table with the only uids that may stay, or empty.
        dropped: Predicates of the rules so far, each true or NULL for what it drops.
        decided: SQL of what decided, for each of these.
    """

    pool: Pool
    sizes: Mapping[str, int] = field(default_factory=dict)
    member: str = ""
    dropped: tuple[str, ...] = ()
    decided: tuple[str, ...] = ()

    @property
    def db(self) -> duckdb.DuckDBPyConnection:
        """The connection."""
        return self.pool.db

    def without(self, predicate: str) -> PoolRows:
        """Return the rows that also survive `predicate`."""
        return replace(self, dropped=(*self.dropped, predicate), decided=(*self.decided, "NULL"))

    def after(self, decision: Decision) -> PoolRows:
        """Return the rows that a rule leaves."""
        decided = decision.decided if decision.decided is not None else _inputs(decision.predicate)
        if decided != "NULL" and self.kind(decided) != "DOUBLE":  # a number is sorted as such: a text is dear
            decided = f"({decided})::VARCHAR"
        return replace(self, dropped=(*self.dropped, decision.predicate), decided=(*self.decided, decided))

    def surviving(self, columns: str, where: str = "") -> str:
        """Return the query of `columns` over the rows that stay."""
        # In a WHERE, NULL does not pass: what a rule cannot decide is dropped.
        tests = [f"NOT ({predicate})" for predicate in self.dropped] + ([where] if where else [])
        return f"SELECT {columns} FROM {self._source('SEMI')}" + (
            f" WHERE {' AND '.join(tests)}" if tests else ""
        )

    def lost(self, key: str) -> str:
        """Return the query of `uid`, `key`, `step` and `decided` of the rows that do not stay.

        Step 0 is not in `from`; the others are the rules. `key` is SQL. `decided` is a number where all are, else text.
        """
        # One scan a rule, for a key may be dear (a hash), and is so looked at once.
        parts = []
        for step, (predicate, decided) in enumerate(zip(self.dropped, self.decided, strict=True), 1):
            reached = replace(self, dropped=self.dropped[: step - 1])
            columns = f"uid, {key} AS key, {step} AS step, {decided} AS decided"
            parts.append(reached.surviving(columns, where=f"({predicate}) IS DISTINCT FROM false"))
        if self.member:
            columns = f"uid, {key} AS key, 0 AS step, NULL AS decided"
            parts.append(f"SELECT {columns} FROM {self._source('ANTI')}")
        nothing = "SELECT NULL::UUID AS uid, NULL::VARCHAR AS key, 0 AS step, NULL AS decided WHERE false"
        return " UNION ALL ".join(parts) or nothing

    def scratch(self) -> str:
        """Return a name for a temporary table that nothing else has."""
        return self.pool.scratch()

    def kind(self, expression: str) -> str:
        """Return DuckDB's name of an expression's type."""
        return str(self.db.sql(f"{self.surviving(f'{expression} AS e')} LIMIT 0").types[0])

    def listed(self, paths: Sequence[str], by: str) -> Listing:
        """Read tables of uids or keys into the database.

        Raises:
            DataError: If a table is missing, damaged, or has no such names.
        """
        names, digests = read_names(paths, by)
        table = self.scratch()
        self.db.register("names", pa.table({"name": names}))
        kind = "UUID" if by == "uid" else "VARCHAR"
        self.db.execute(f"CREATE TEMP TABLE {table} AS SELECT DISTINCT name::{kind} AS name FROM names")
        self.db.unregister("names")
        held = self.db.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0]
        return Listing(table, int(held), digests)

    def restrict(self, operation: str, splits: Sequence[Sequence[str]]) -> PoolRows:
        """Keep only uids of other splits, put together by `union`, `intersect` or `minus`.

        Args:
            operation: What to do with the splits, from left to right.
            splits: The `part-*.parquet` of each split.
        """
        selects = []
        for number, paths in enumerate(splits):
            # A variable, because CREATE takes no parameter and no path is written into SQL.
            self.db.execute(f"SET VARIABLE split_{number} = $paths", {"paths": files(sorted(paths))})
            read = f"read_parquet(getvariable('split_{number}'), union_by_name = true, hive_partitioning = false)"
            selects.append(f"SELECT uid::UUID AS uid FROM {read}")
        table = self.scratch()
        self.db.execute(f"CREATE TEMP TABLE {table} AS {f' {_OPERATIONS[operation]} '.join(selects)}")
        return replace(self, member=table)

    def _source(self, join: str) -> str:
        joined = f" {join} JOIN {self.member} USING (uid)" if self.member else ""
        return f"(SELECT * FROM candidates{joined}) AS {quoted(ALIAS)}"


def _inputs(predicate: str) -> str:
    """Write the columns that a predicate names as what decided."""
    paths = [path for path in named_paths(parse_predicate(predicate).tree) if path != ("uid",)]
    return shown({".".join(path): ".".join(map(quoted, path)) for path in paths})
