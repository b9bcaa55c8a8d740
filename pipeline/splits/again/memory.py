"""Rows in memory: what the oracles of selections look at."""

# SQL is put together from quoted identifiers, checked predicates and numbers.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.selection import SOURCE, Selection
from pipeline.sets.uids import as_pairs
from pipeline.splits.joined_columns import join_columns
from pipeline.splits.listings import read_names
from pipeline.splits.pool_columns import PoolColumns
from pipeline.splits.pool_table import POOL

_SOURCE = SOURCE.strip('"')


class Memory:
    """Rows in memory, with expressions looked up by a database of their own: the columns that an oracle is given."""

    def __init__(
        self,
        table: pa.Table,
        sizes: Mapping[str, int],
        db: duckdb.DuckDBPyConnection,
        columns: PoolColumns | None = None,
        sets: Mapping[str, Memory] | None = None,
    ) -> None:
        self._table, self._db = table, db
        self._columns, self._sets = columns or PoolColumns(), sets or {}
        self.sizes = sizes
        self.uids: NDArray[np.uint64] = as_pairs(table.column("uid"))

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.uids)

    def of(self, expression: str) -> Any:
        """Return `(n,)` values of an expression as an Arrow array."""
        self._db.register("rows", self._table)
        found = self._db.sql(f"SELECT {expression} AS v FROM rows").to_arrow_table().column("v")
        return pa.concat_arrays(found.chunks) if found.num_chunks else pa.array([], found.type)

    def listed(self, paths: Sequence[str], by: str) -> Any:
        """Return the names in tables of uids or keys."""
        return read_names(paths, by)[0]

    def where(self, stays: NDArray[np.bool_]) -> Memory:
        """Return some of the rows."""
        return self._of(self._table.filter(pa.array(stays)))

    def offered(self, name: str) -> Memory:
        """Return all samples of a further set."""
        return self._sets[name]

    def sources(self) -> list[str]:
        """Name the set of each row."""
        several = _SOURCE in self._table.column_names
        return list(self._table.column(_SOURCE).to_pylist()) if several else [POOL] * len(self)

    def reaching(self, selection: Selection) -> Memory:
        """Return the rows that a selection decides on: with those of the set that it brings in, which come last."""
        bringing = selection.brings()
        if bringing is None:
            return self
        own = self.offered(bringing.name)
        return self.with_rows(bringing.name, own, own.of(bringing.caption) if bringing.caption else None)

    def with_rows(self, name: str, own: Memory, captions: Any = None) -> Memory:
        """Return these rows and those of a further set, whose columns go where `join_columns` says.

        Args:
            name: The set.
            own: Its rows, or some of them.
            captions: `(n,)` captions in place of theirs.
        """
        joined = join_columns(self._columns, own._columns, name)
        there = {to: own._table.column(column) for column, to in joined.names()}
        there |= {} if captions is None else {"caption": captions}
        table = self._table if _SOURCE in self._table.column_names else _from(self._table, POOL)
        more = _from(pa.table({"uid": own._table.column("uid"), **there}), name)
        both = pa.concat_tables([table, more], promote_options="default")
        return self._of(both, joined.columns)

    def _of(self, table: pa.Table, columns: PoolColumns | None = None) -> Memory:
        return Memory(table, self.sizes, self._db, columns or self._columns, self._sets)


def _from(table: pa.Table, name: str) -> pa.Table:
    return table.append_column(_SOURCE, pa.array([name] * len(table), pa.string()))


@contextmanager
def in_order() -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database of one thread, which gives rows in the order in which it gets them."""
    settings: dict[str, Any] = {
        "threads": 1,
        "python_enable_replacements": False,
        "arrow_lossless_conversion": True,
    }
    with duckdb.connect(":memory:", config=settings) as db:
        db.execute("SET enable_external_access = false")
        db.execute("SET lock_configuration = true")
        yield db
