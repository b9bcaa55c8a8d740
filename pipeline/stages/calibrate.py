"""Each reference part against all queries: how near does the in-distribution training set come.

This is exact whatever backend the plan names.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.commit import Attempt
from pipeline.parquet import write_parquet
from pipeline.samples import Part
from pipeline.stages._parts import part_size, parts_of
from pipeline.stages._queries import exactly, packed_queries, query_identity, query_settings, scanner
from pipeline.stages._scan import NEIGHBOURS_SCHEMA, Seen, neighbour_table, scan_part
from pipeline.work import Json, RunContext, Work


def plan(run: RunContext) -> Iterator[list[Work]]:
    """List one unit per reference part, where there is a reference."""
    if run.plan.reference is None:
        return
    shared: Json = {"queries": query_identity(run, thresholds=False), "backend": exactly(run)}
    settings = run.settings | query_settings(run) | {"backend": exactly(run)}
    works = []
    for number, part, part_identity in parts_of(run, "reference"):
        identity = shared | {"part": part_identity, "number": number}
        rows, size = part_size(part)
        works.append(Work("calibrate", number, identity, settings | {"part": part.to_json()}, rows, size))
    yield works


def perform(work: Work, into: Attempt) -> Json:
    """Find, for each query, the nearest sample of one reference part."""
    search = scanner(work, packed_queries(work, thresholds=False), k=1)
    seen = Seen()
    for _ in scan_part(Part.from_json(work.settings["part"]), search, seen):
        pass
    relative = f"thresholds/part-{work.identity['number']}.parquet"
    into.add(
        relative, rows=write_parquet(into.file(relative), neighbour_table(search, seen), NEIGHBOURS_SCHEMA)
    )
    return seen.facts()
