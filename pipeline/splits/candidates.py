"""The rows that a split chooses from: measures beside samples, as SQL over one locked connection."""

# SQL is put together from quoted identifiers, checked predicates and numbers; paths are bound.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import duckdb
import pyarrow as pa

from curation.expressions import quoted
from curation.selection import Fields
from indexes.errors import DataError, PlanError
from pipeline.files.database import files
from pipeline.files.parquet import parquet_schema
from pipeline.sets.samples import OWN_NAMES

TEXT = ("key", "url", "caption")
"""What every emitted row begins with, after its uid."""
_ALIAS = '"(pool)"'
_OPERATIONS = {"union": "UNION", "intersect": "INTERSECT", "minus": "EXCEPT"}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the samples: its name in the files and the name under which rules and splits have it."""

    stored: str
    name: str
    type: Any

    @property
    def raw(self) -> str:
        """The column as it is stored, beside the one that predicates see."""
        return f"(raw) {self.name}" if pa.types.is_floating(self.type) else self.name


@dataclass(frozen=True, slots=True)
class Rows:
    """Samples that may stay: those of the pool (or of `from`) that no predicate has dropped yet.

    Attributes:
        db: The connection, with the views `measured` and `sampled`.
        scores: Struct columns of the measures, by name.
        columns: Columns of the samples that a predicate may name; empty where the split has no samples.
        member: Whether a table `member` holds the only uids that may stay.
        dropped: Predicates of the rules so far, each true or NULL for what it drops.
        wide: Whether one of them names a column of the samples.
    """

    db: duckdb.DuckDBPyConnection
    scores: Mapping[str, Any]
    columns: tuple[Column, ...] = ()
    member: bool = False
    dropped: tuple[str, ...] = ()
    wide: bool = False

    def named(self) -> dict[str, Fields]:
        """Columns that a predicate may name, each with its fields."""
        return _named(self.columns, self.scores)

    def without(self, predicate: str, reads: Iterable[str] = ()) -> Rows:
        """Return the rows that also survive `predicate`, which names the columns `reads`."""
        held = {name.lower() for name in self.scores}
        wide = self.wide or any(name.lower() not in held for name in reads)
        return replace(self, dropped=(*self.dropped, predicate), wide=wide)

    def surviving(self, columns: str, wide: bool = False, where: str = "") -> str:
        """Return the query of `columns` over the rows that stay."""
        # In a WHERE, NULL does not pass: what a rule cannot decide is dropped.
        tests = [f"NOT ({predicate})" for predicate in self.dropped] + ([where] if where else [])
        source = self._source(wide or self.wide, "SEMI")
        return f"SELECT {columns} FROM {source}" + (f" WHERE {' AND '.join(tests)}" if tests else "")

    def lost(self) -> str:
        """Return the query of `uid` and `step` of the rows that do not stay: 0 not in `from`, else the rule."""
        # One scan a rule, for a key may be dear (a hash), and is so looked at once.
        parts = []
        for step, predicate in enumerate(self.dropped, 1):
            reached = replace(self, dropped=self.dropped[: step - 1])
            parts.append(
                reached.surviving(f"uid, {step} AS step", where=f"({predicate}) IS DISTINCT FROM false")
            )
        if self.member:
            parts.append(f"SELECT uid, 0 AS step FROM {self._source(False, 'ANTI')}")
        return " UNION ALL ".join(parts) or "SELECT NULL::UUID AS uid, 0 AS step WHERE false"

    def _source(self, wide: bool, join: str) -> str:
        table = "measured" if self.scores else "sampled"
        if wide and self.scores:
            table = "measured JOIN sampled USING (uid)"
        if self.member:
            table = f"{table} {join} JOIN member USING (uid)"
        return f"(SELECT * FROM {table}) AS {_ALIAS}"


@dataclass(frozen=True, slots=True)
class Parts:
    """Committed files of the pool.

    Attributes:
        samples: `samples/pool/part-*.parquet`, or none for scores alone.
        measures: `measures/similarity/part-*.parquet`, or none where nothing was measured.
        duplicates: `samples/pool/duplicates.parquet`, rows that take no part; or None.
    """

    samples: Sequence[str]
    measures: Sequence[str]
    duplicates: str | None = None


def open_rows(db: duckdb.DuckDBPyConnection, parts: Parts) -> Rows:
    """Make the views `measured` and `sampled`.

    Raises:
        DataError: If parts disagree on a column's type, or columns differ by case alone.
        PlanError: If there is neither a sample nor a measure, or a benchmark is named as nearfar's own columns.
    """
    if not parts.samples and not parts.measures:
        raise PlanError("a split needs samples or measures, and has neither; run the earlier stages first")
    scores = _scores(parts.measures)
    columns = _columns(parts.samples, scores)
    if parts.measures:
        names = ", ".join(quoted(name) for name in ("uid", *scores))
        _view(db, "measured", names, parts.measures)
    if parts.samples:
        named = [text for column in columns for text in _both(column)]
        _view(db, "sampled", ", ".join(["uid", *named]), parts.samples, parts.duplicates)
    return Rows(db, scores, columns)


def nameable(samples: Sequence[str], scores: Mapping[str, Any]) -> dict[str, Fields]:
    """Columns that a predicate may name, before anything is measured.

    Args:
        samples: `samples/pool/part-*.parquet`.
        scores: Type of the struct column that each benchmark will have.
    """
    return _named(_columns(samples, scores), scores)


def _named(columns: Sequence[Column], scores: Mapping[str, Any]) -> dict[str, Fields]:
    plain: dict[str, Fields] = {column.name: () for column in columns}
    return plain | {
        name: tuple(kind.field(i).name for i in range(kind.num_fields)) for name, kind in scores.items()
    }


def restrict(rows: Rows, operation: str, splits: Sequence[Sequence[str]]) -> Rows:
    """Keep only uids of other splits, put together by `union`, `intersect` or `minus`.

    Args:
        rows: The rows of the pool.
        operation: What to do with the splits, from left to right.
        splits: The `part-*.parquet` of each split.
    """
    selects = []
    for number, paths in enumerate(splits):
        _remember(rows.db, f"split_{number}", paths)
        selects.append(f"SELECT uid::UUID AS uid FROM {_parquet(f'split_{number}')}")
    rows.db.execute(f"CREATE TEMP TABLE member AS {f' {_OPERATIONS[operation]} '.join(selects)}")
    return replace(rows, member=True)


def _view(
    db: duckdb.DuckDBPyConnection,
    name: str,
    columns: str,
    paths: Sequence[str],
    duplicates: str | None = None,
) -> None:
    _remember(db, name, paths)
    source = _parquet(name)
    if duplicates:
        _remember(db, "duplicates", [duplicates])
        repeated = f'(SELECT part, "row" FROM {_parquet("duplicates")})'
        source = f'{source} ANTI JOIN {repeated} USING (part, "row")'
    db.execute(f"CREATE TEMP VIEW {name} AS SELECT {columns} FROM {source}")


def _both(column: Column) -> tuple[str, ...]:
    """Name a column for predicates, which take NaN for NULL, and as it is stored, for the files."""
    stored, name = quoted(column.stored), quoted(column.name)
    if not pa.types.is_floating(column.type):
        return (f"{stored} AS {name}",)
    return f"nullif({stored}, 'nan') AS {name}", f"{stored} AS {quoted(column.raw)}"


def _remember(db: duckdb.DuckDBPyConnection, name: str, paths: Sequence[str]) -> None:
    # A variable, because a view takes no parameter and no path is written into SQL.
    db.execute(f"SET VARIABLE {name} = $paths", {"paths": files(sorted(paths))})


def _parquet(variable: str) -> str:
    return f"read_parquet(getvariable('{variable}'), union_by_name = true, hive_partitioning = false)"


def _scores(paths: Sequence[str]) -> dict[str, Any]:
    if not paths:
        return {}
    schema = parquet_schema(sorted(paths)[0])
    scores = {field.name: field.type for field in schema if field.name != "uid"}
    taken = sorted(set(scores) & {*OWN_NAMES, _ALIAS.strip('"')})
    if taken:
        raise PlanError(f"a benchmark cannot be called {', '.join(taken)}: nearfar has a column of that name")
    return scores


def _columns(paths: Sequence[str], scores: Mapping[str, Any]) -> tuple[Column, ...]:
    """List the samples' columns; a pool's own column that is called like a benchmark is `pool_<name>`."""
    if not paths:
        return ()
    schemas = [parquet_schema(path).remove_metadata() for path in sorted(paths)]
    first = schemas[0].names
    # Where parts differ, no part's order may decide: they are put in the order of their names.
    agreed = all(schema.names == first for schema in schemas)
    try:
        whole = pa.unify_schemas(schemas, promote_options="permissive")
    except pa.ArrowException as error:
        raise DataError(f"parts of the pool disagree on the type of a column: {error}") from error
    names = first if agreed else [*(n for n in OWN_NAMES if n in whole.names), *sorted(set(whole.names))]
    used = {name.lower() for name in scores}
    found: dict[str, Column] = {}
    for stored in dict.fromkeys(names):
        if stored in ("uid", "part", "row"):
            continue
        name = stored
        while name.lower() in used:
            name = f"pool_{name}"
        if name.lower() in found:
            raise DataError(
                f"the pool has the columns {found[name.lower()].stored!r} and {stored!r}, which SQL cannot tell "
                "apart; rename one of them"
            )
        found[name.lower()] = Column(stored, name, _plain(whole.field(stored).type))
    return tuple(found.values())


def _plain(kind: Any) -> Any:
    return kind.value_type if pa.types.is_dictionary(kind) else kind
