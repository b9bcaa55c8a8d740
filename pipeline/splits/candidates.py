"""The rows that splits choose from: those of the pool's table, and of further sets that rules bring in."""

# SQL is put together from quoted identifiers, checked predicates and numbers; paths are bound.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import duckdb
import pyarrow as pa

from curation.expressions import quoted, shown, text
from curation.predicates import named_paths
from curation.selection import SOURCE, Bringing, Decision, Listing, Selection
from pipeline.files.database import files, parse_predicate
from pipeline.splits.joined_columns import join_columns
from pipeline.splits.listings import read_names
from pipeline.splits.pool_columns import ALIAS, PoolColumns
from pipeline.splits.pool_table import POOL, Pool
from pipeline.splits.requests import UsedSplit

_OPERATIONS = {"union": "UNION", "intersect": "INTERSECT", "minus": "EXCEPT"}


@dataclass(frozen=True, slots=True)
class PoolRows:
    """Samples that may stay: those of the pool (or of `from`) that no predicate has dropped yet.

    Where a rule brings in a further set, these rows begin anew with a view of both, and `before` are those of then.

    Attributes:
        pool: The table.
        sizes: Size of each split that the rules name.
        member: Name of a table with the only uids that may stay, or empty.
        dropped: Predicates of the rules so far, each true or NULL for what it drops.
        decided: SQL of what decided, for each of these.
        before: The rows before a set joined; None where none did.
        view: What the rows are taken from; the pool's own view if empty.
        joined: The columns of the view, where it is not the pool's own.
        brought: Names of the sets that joined here.
    """

    pool: Pool
    sizes: Mapping[str, int] = field(default_factory=dict)
    member: str = ""
    dropped: tuple[str, ...] = ()
    decided: tuple[str, ...] = ()
    before: PoolRows | None = None
    view: str = ""
    joined: PoolColumns | None = None
    brought: tuple[str, ...] = ()

    @property
    def db(self) -> duckdb.DuckDBPyConnection:
        """The connection."""
        return self.pool.db

    @property
    def columns(self) -> PoolColumns:
        """The columns, those of sets that joined among them."""
        return self.joined or self.pool.columns

    @property
    def steps(self) -> int:
        """How many rules there were so far."""
        return len(self.dropped) + (0 if self.before is None else self.before.steps)

    @property
    def sets(self) -> tuple[str, ...]:
        """The further sets that samples may come from, in the plan's order."""
        names = set[str]()
        rows: PoolRows | None = self
        while rows is not None:
            names, rows = names | set(rows.brought), rows.before
        return tuple(name for name in self.pool.sets if name in names)

    @property
    def restricted(self) -> bool:
        """Whether they start from other splits."""
        return bool(self.member) or (self.before is not None and self.before.restricted)

    def joining(self) -> int:
        """Count the samples that stay and come from further sets."""
        if self.before is None:
            return 0
        return int(self.db.execute(self.surviving("count(*)", f"{SOURCE} <> {text(POOL)}")).fetchall()[0][0])

    def without(self, predicate: str) -> PoolRows:
        """Return the rows that also survive `predicate`."""
        return replace(self, dropped=(*self.dropped, predicate), decided=(*self.decided, "NULL"))

    def after(self, decision: Decision) -> PoolRows:
        """Return the rows that a rule leaves."""
        decided = decision.decided if decision.decided is not None else _inputs(decision.predicate)
        if decided != "NULL" and self.kind(decided) != "DOUBLE":  # a number is sorted as such: a text is dear
            decided = f"({decided})::VARCHAR"
        return replace(self, dropped=(*self.dropped, decision.predicate), decided=(*self.decided, decided))

    def reaching(self, selection: Selection) -> PoolRows:
        """Return the rows that a selection decides on: with those of the set that it brings in."""
        bringing = selection.brings()
        return self if bringing is None else self.with_set(bringing)

    def offered(self, name: str) -> PoolRows:
        """Return all samples of a further set."""
        return PoolRows(self.pool.sets[name], self.sizes)

    def with_set(self, bringing: Bringing, among: str = "") -> PoolRows:
        """Return these rows and those of a further set.

        Args:
            bringing: The set, and its captions.
            among: Name of a table of `uid` and whatever the captions name: the only samples that join. All if empty.
        """
        own = self.pool.sets[bringing.name]
        joined = join_columns(self.columns, own.columns, bringing.name)
        written = {there: quoted(name) for name, there in joined.names()}
        written |= {"caption": bringing.caption} if bringing.caption else {}
        columns = ", ".join(f"{sql} AS {quoted(there)}" for there, sql in written.items())
        source = own.view + (f" JOIN {among} USING (uid)" if among else "")
        here = self.surviving("*" if self.before is not None else f"*, {text(POOL)} AS {SOURCE}")
        view = self.pool.scratch("VIEW")
        self.db.execute(
            f"CREATE TEMP VIEW {view} AS {here} UNION ALL BY NAME "
            f"SELECT uid, {columns}, {text(bringing.name)} AS {SOURCE} FROM {source}"
        )
        return PoolRows(
            self.pool, self.sizes, before=self, view=view, joined=joined.columns, brought=(bringing.name,)
        )

    def surviving(self, columns: str, where: str = "") -> str:
        """Return the query of `columns` over the rows that stay."""
        # In a WHERE, NULL does not pass: what a rule cannot decide is dropped.
        tests = [f"NOT ({predicate})" for predicate in self.dropped] + ([where] if where else [])
        return f"SELECT {columns} FROM {self._source('SEMI')}" + (
            f" WHERE {' AND '.join(tests)}" if tests else ""
        )

    def lost(self, key: str) -> str:
        """Return the query of `uid`, `key`, `step`, `decided` and `source` of the rows that do not stay.

        Step 0 is not in `from`; the others are the rules. `key` is SQL. `decided` is a number where all are, else text.
        """
        nothing = (
            "SELECT NULL::UUID AS uid, NULL::VARCHAR AS key, 0 AS step, NULL AS decided, "
            "NULL::VARCHAR AS source WHERE false"
        )
        return " UNION ALL ".join(self._lost(key)) or nothing

    def _lost(self, key: str) -> list[str]:
        # One scan a rule, for a key may be dear (a hash), and is so looked at once.
        parts = [] if self.before is None else self.before._lost(key)
        first, source = self.steps - len(self.dropped) + 1, text(POOL) if self.before is None else SOURCE
        for step, (predicate, decided) in enumerate(zip(self.dropped, self.decided, strict=True)):
            reached = replace(self, dropped=self.dropped[:step])
            columns = f"uid, {key} AS key, {first + step} AS step, {decided} AS decided, {source} AS source"
            parts.append(reached.surviving(columns, where=f"({predicate}) IS DISTINCT FROM false"))
        if self.member:
            columns = f"uid, {key} AS key, 0 AS step, NULL AS decided, {source} AS source"
            parts.append(f"SELECT {columns} FROM {self._source('ANTI')}")
        return parts

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

    def restrict(self, operation: str, splits: Sequence[UsedSplit]) -> PoolRows:
        """Keep only samples of other splits, put together by `union`, `intersect` or `minus`.

        A sample that several of them have comes from the set, and has the caption, that it has in the first of them.

        Args:
            operation: What to do with the splits, from left to right.
            splits: The splits.
        """
        reads = [self._read(number, split.parts) for number, split in enumerate(splits)]
        table, sets = self.scratch(), sorted({name for split in splits for name in split.sets})
        if not sets:
            selects = [f"SELECT uid::UUID AS uid FROM {read}" for read in reads]
            together = f" {_OPERATIONS[operation]} ".join(selects)
            self.db.execute(f"CREATE TEMP TABLE {table} AS {together}")
            return replace(self, member=table)
        selects = [
            _told(read, split, number) for number, (read, split) in enumerate(zip(reads, splits, strict=True))
        ]
        self.db.execute(f"CREATE TEMP TABLE {table} AS {_combined(operation, selects)}")
        member = self.scratch()
        self.db.execute(f"CREATE TEMP TABLE {member} AS SELECT uid FROM {table} WHERE source = {text(POOL)}")
        rows = replace(self, member=member)
        for name in sets:
            among = f'(SELECT uid, caption AS "(caption)" FROM {table} WHERE source = {text(name)})'
            rows = rows.with_set(Bringing(name, '"(caption)"'), among)
        return rows

    def _read(self, number: int, paths: Sequence[str]) -> str:
        # A variable, because CREATE takes no parameter and no path is written into SQL.
        self.db.execute(f"SET VARIABLE split_{number} = $paths", {"paths": files(sorted(paths))})
        return f"read_parquet(getvariable('split_{number}'), union_by_name = true, hive_partitioning = false)"

    def _source(self, join: str) -> str:
        joined = f" {join} JOIN {self.member} USING (uid)" if self.member else ""
        return f"(SELECT * FROM {self.view or self.pool.view}{joined}) AS {quoted(ALIAS)}"


def _told(read: str, split: UsedSplit, number: int) -> str:
    """Return the query of a split's uids, each with its set and its caption as one of a further set."""
    source, caption = ("source", "caption") if split.sets else (text(POOL), "NULL::VARCHAR")
    return f"SELECT uid::UUID AS uid, {source} AS source, {caption} AS caption, {number} AS place FROM {read}"


def _combined(operation: str, selects: Sequence[str]) -> str:
    first, others = selects[0], selects[1:]
    if operation == "union":
        every = " UNION ALL ".join(selects)
        known = "unnest(arg_min(struct_pack(source := source, caption := caption), place))"
        return f"SELECT uid, {known} FROM ({every}) GROUP BY uid"
    join = "SEMI" if operation == "intersect" else "ANTI"
    joins = " ".join(f"{join} JOIN ({other}) AS split_{n} USING (uid)" for n, other in enumerate(others))
    return f"SELECT uid, source, caption FROM ({first}) {joins}"


def _inputs(predicate: str) -> str:
    """Write the columns that a predicate names as what decided."""
    paths = [path for path in named_paths(parse_predicate(predicate).tree) if path != ("uid",)]
    return shown({".".join(path): ".".join(map(quoted, path)) for path in paths})
