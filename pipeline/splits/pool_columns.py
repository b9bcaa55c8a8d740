"""Which columns a pool and its measures have, and which of them some splits need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from indexes.errors import DataError, PlanError
from pipeline.files.parquet import parquet_schema
from pipeline.sets.samples import OWN_NAMES
from pipeline.sets.unify import ColumnValues, unify, values_of
from pipeline.splits.requests import PoolPart

TEXT = ("key", "url", "caption")
"""What every row of a split begins with, after its uid."""
INTERNAL = ("image_sha256",)
"""Columns of the samples that a split does not carry."""
ALIAS = "(pool)"
"""What the pool is called in SQL, so that no column of a user's is called like it."""
_FOOTERS = 8


@dataclass(frozen=True, slots=True)
class PoolColumn:
    """One column: a plain one of the samples, or a measure.

    Attributes:
        stored: Its name in the files; for a measure the name that rules have for it.
        name: The name under which rules and splits have it.
        type: Arrow type; a struct for a measure of several columns.
        measured: Whether it is a measure.
    """

    stored: str
    name: str
    type: Any
    measured: bool = False

    @property
    def raw(self) -> str:
        """The column as it is stored, beside the one that predicates see, where NaN is NULL."""
        return f"(raw) {self.name}" if self.measured or pa.types.is_floating(self.type) else self.name

    @property
    def fields(self) -> tuple[str, ...]:
        """Columns of a measure's file, without its uid."""
        if not pa.types.is_struct(self.type):
            return (self.stored,)
        return tuple(self.type.field(place).name for place in range(self.type.num_fields))

    def only(self, fields: Iterable[str]) -> PoolColumn:
        """Return the measure with some of its fields, matched without regard to case."""
        if not pa.types.is_struct(self.type):
            return self
        wanted = {name.lower() for name in fields}
        inner = [self.type.field(place) for place in range(self.type.num_fields)]
        kept = pa.struct([each for each in inner if each.name.lower() in wanted])
        return PoolColumn(self.stored, self.name, kept, self.measured)


@dataclass(frozen=True, slots=True)
class PoolColumns:
    """Columns of a pool; names match without regard to case, as in SQL.

    Attributes:
        own: Columns of the samples, in their order.
        measures: Measures by name.
    """

    own: tuple[PoolColumn, ...] = ()
    measures: Mapping[str, PoolColumn] = field(default_factory=dict)

    def types(self) -> dict[str, Any]:
        """Return the Arrow type of all that a rule may name."""
        return {column.name: column.type for column in (*self.own, *self.measures.values())}

    def named(self, paths: Iterable[Sequence[str]]) -> PoolColumns:
        """Return the columns, and of each measure the fields, that some rules name."""
        heads: dict[str, set[str]] = {}
        for path in paths:
            heads.setdefault(path[0].lower(), set()).update(path[1:2])
        own = tuple(column for column in self.own if column.name.lower() in heads)
        measures = {
            name: column.only(heads[name.lower()])
            for name, column in self.measures.items()
            if name.lower() in heads
        }
        return PoolColumns(own, measures)

    def carried(self) -> tuple[PoolColumn, ...]:
        """List the columns of the samples that a split's rows have: the texts first, then the pool's own."""
        kept = [column for column in self.own if column.stored not in INTERNAL]
        return tuple(
            sorted(kept, key=lambda column: column.stored not in TEXT)
        )  # stable: others keep their order


def look(parts: Sequence[PoolPart], taken: Iterable[str] = ()) -> PoolColumns:
    """Read the footers of a pool; `taken` are names of measures of which no file is looked at.

    Raises:
        DataError: If parts disagree on their measures, or columns differ by case alone.
        PlanError: If there is neither a sample nor a measure, or a measure is named as one of nearfar's own columns.
    """
    if not any(part.samples or part.measures for part in parts):
        raise PlanError("a split needs samples or measures, and has neither; run the earlier stages first")
    measures = _measures(parts)
    samples = sorted(part.samples for part in parts if part.samples)
    with ThreadPoolExecutor(_FOOTERS) as readers:
        schemas = list(readers.map(parquet_schema, samples))
    return PoolColumns(own_columns(schemas, {*measures, *taken}, values_of(samples)), measures)


def _measures(parts: Sequence[PoolPart]) -> dict[str, PoolColumn]:
    names = list(parts[0].measures)
    for part in parts:
        if set(part.measures) != set(names):
            raise DataError(
                f"parts of the pool were measured differently: {', '.join(names) or 'nothing'} and "
                f"{', '.join(part.measures) or 'nothing'}; run the plan again to measure what is missing"
            )
    return {name: measure_column(name, parquet_schema(parts[0].measures[name])) for name in names}


def measure_column(name: str, schema: Any) -> PoolColumn:
    """Describe a measure as rules see it, from the schema of its files.

    Raises:
        PlanError: If it is named as one of nearfar's own columns.
    """
    if name.lower() in (*OWN_NAMES, ALIAS):
        raise PlanError(f"a benchmark or measure cannot be called {name}: nearfar has a column of that name")
    fields = [each.remove_metadata() for each in schema if each.name != "uid"]
    bare = [each.name for each in fields] == [name]
    return PoolColumn(name, name, _plain(fields[0].type) if bare else pa.struct(fields), measured=True)


def own_columns(
    schemas: Sequence[Any], measures: Iterable[str], values: ColumnValues
) -> tuple[PoolColumn, ...]:
    """List the samples' columns; a pool's own column that is called like a measure is `pool_<name>`.

    Args:
        schemas: Arrow schema of each part of the samples.
        measures: Names that are taken.
        values: Gives a column's values, where its types do not decide which one holds them all.

    Raises:
        DataError: If columns differ by case alone.
    """
    if not schemas:
        return ()
    used = {name.lower() for name in measures}
    found: dict[str, PoolColumn] = {}
    for each in unify(schemas, values):
        if each.name in ("uid", "part", "row"):
            continue
        name = each.name
        while name.lower() in used:
            name = f"pool_{name}"
        if name.lower() in found:
            raise DataError(
                f"the pool has the columns {found[name.lower()].stored!r} and {each.name!r}, which SQL cannot tell "
                "apart; rename one of them"
            )
        found[name.lower()] = PoolColumn(each.name, name, _plain(each.type))
    return tuple(found.values())


def _plain(kind: Any) -> Any:
    """A column that is NULL throughout has no type of its own, and is written as text."""
    if pa.types.is_dictionary(kind):
        return kind.value_type
    return pa.string() if pa.types.is_null(kind) else kind
