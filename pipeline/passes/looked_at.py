"""What measures look at beside vectors: columns of the pool, and what other measures left."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from curation.measure import QUERIES, VECTORS
from curation.measures.told._told import ToldMeasure
from indexes.errors import DataError
from pipeline import layout
from pipeline.commit import fingerprint
from pipeline.execution.context import RunContext, digests, paths
from pipeline.files.parquet import parquet_schema
from pipeline.measuring import Instance
from pipeline.passes.located import named_arrays, parts_of
from pipeline.passes.measure_unit import Other
from pipeline.sets.parts import Part
from pipeline.sets.unify import unify, values_of


def unit_name(name: str, number: int) -> str:
    """Call the unit that measures a part."""
    return f"{name} {number:04d}"


def told_unit(measure: ToldMeasure) -> str:
    """Call the unit that joins a user's table; measures that want the same of one share it."""
    return fingerprint(asdict(measure.told()))[:16]


def others_of(run: RunContext, one: Instance) -> list[str]:
    """List what a measure needs of other measures."""
    return [need for need in one.measure.requires() if need.partition(":")[0] in run.instances()]


def located_other(run: RunContext, need: str, part: Part) -> Other:
    """Locate what a measure needs of another: its columns for this part, or a table over all parts."""
    name, colon, table = need.partition(":")
    one = run.instances()[name]
    if not colon:
        columns = tuple(column.name for column in one.measure.columns())
        return Other(need, (run.path(layout.measure(one.kind, one.name, part.number)),), columns)
    found = paths(run.part_records("measure", name), layout.measure_tables(one.kind, one.name, table))
    return Other(need, tuple(run.path(path) for path in found), None)


def digests_of_other(run: RunContext, need: str, part: Part) -> list[str]:
    """Say what is in that, for a unit's identity."""
    name, colon, table = need.partition(":")
    one = run.instances()[name]
    if colon:
        return digests(run.part_records("measure", name), layout.measure_tables(one.kind, one.name, table))
    path = layout.measure(one.kind, one.name, part.number)
    return digests([run.record("measure", unit_name(name, part.number))], path)


def own_columns(run: RunContext, one: Instance) -> tuple[str, ...]:
    """List the columns of the pool that a measure looks at.

    Raises:
        DataError: If the pool does not have one of them.
    """
    known = {QUERIES, f"{QUERIES}:{one.target}", *VECTORS, *named_arrays(run)}
    others = run.instances()
    own = [n for n in one.measure.requires() if n not in known and n.partition(":")[0] not in others]
    has = pool_columns(run) if own else {}
    for name in own:
        if name not in has:
            raise DataError(
                f"the measure {one.name} looks at '{name}', which is no measure and no column of the pool; it has: "
                f"{', '.join(sorted(has))}. Correct the measure's options"
            )
    return tuple(own)


def pool_columns(run: RunContext) -> dict[str, Any]:
    """List the columns of the pool's samples with their types, over all parts."""

    def find() -> dict[str, Any]:
        paths = [part.samples for part in parts_of(run, "pool")]
        run.bring(run.outputs(paths))
        try:
            found = [parquet_schema(path) for path in paths]
            return {field.name: field.type for field in unify(found, values_of(paths))} if found else {}
        except DataError:
            # The run made these files, so the fault is not in what the user gave: say which has changed since.
            run.check_sound(output for record in run.records("read") for output in record.outputs)
            raise

    return run.once("columns of the pool", find)
