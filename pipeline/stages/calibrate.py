"""The reference against all queries: how near does the in-distribution training set come.

This is exact whatever backend the plan names.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.commit import Attempt
from pipeline.execution.work import Json, RunContext, Work
from pipeline.files.parquet import write_parquet
from pipeline.stages._parts import parts_in, units_of
from pipeline.stages._queries import exactly, packed_queries, query_identity, query_settings, scanner
from pipeline.stages._scan import NEIGHBOURS_SCHEMA, Seen, neighbour_table, scan_parts


def plan(run: RunContext) -> Iterator[list[Work]]:
    """List the units, one or more reference parts each, where there is a reference."""
    if run.plan.reference is None:
        return
    shared: Json = {"queries": query_identity(run, thresholds=False), "backend": exactly(run)}
    settings = run.settings | query_settings(run) | {"backend": exactly(run)}
    yield units_of(run, "calibrate", "reference", shared, settings)


def perform(work: Work, into: Attempt) -> Json:
    """Find, for each query, the nearest sample of the unit's parts."""
    search = scanner(work, packed_queries(work, thresholds=False), k=1)
    seen = Seen()
    for _ in scan_parts(parts_in(work), search, seen):
        pass
    relative = f"thresholds/part-{work.name}.parquet"
    into.add(
        relative, rows=write_parquet(into.file(relative), neighbour_table(search, seen), NEIGHBOURS_SCHEMA)
    )
    return seen.facts()
