"""Per split and query, the nearest kept samples: the similarity gap of the split."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import layout
from pipeline.commit import Attempt
from pipeline.execution.context import RunContext, digests, paths
from pipeline.execution.costs import Cost, Rates
from pipeline.execution.work import Json, Work
from pipeline.files.parquet import read_parquet, write_parquet
from pipeline.passes.merging import merge
from pipeline.stages import neighbours, rescan

AFTER = ("rescan",)
# `source` is the set that a sample comes from.
SCHEMA = pa.schema([("benchmark", pa.string()), *neighbours.SCHEMA, ("source", pa.string())])


@dataclass(frozen=True, slots=True)
class Identity:
    """What decides a unit's bytes: what survived, what looking again found, the queries, and how many to keep."""

    split: str
    surviving: tuple[str, ...]
    rescanned: tuple[str, ...]
    queries: dict[str, list[str]]
    k: int


@dataclass(frozen=True, slots=True)
class Settings:
    """The files of both."""

    parts: tuple[str, ...]


def plan(run: RunContext) -> Iterator[list[Work[Identity, Settings]]]:
    """List one unit per split."""
    queries = {name: digests([run.record("thresholds", name)]) for name in run.plan.benchmarks}
    works = []
    for name in run.plan.splits if queries else ():
        surviving = [run.record("surviving", name)]
        exhausted = [source for source, queries in surviving[0].facts["exhausted"].items() if queries]
        again = [
            one for each in exhausted for one in run.part_records("rescan", rescan.unit_name(name, each))
        ]
        k = run.plan.neighbours
        identity = Identity(name, tuple(digests(surviving)), tuple(digests(again)), queries, k)
        files = [
            *paths(surviving, layout.folder(layout.surviving(name))),
            *paths(again, ""),
        ]
        settings = Settings(tuple(run.path(path) for path in files))
        committed = run.outputs([*files, *(layout.index(each, "queries.parquet") for each in queries)])
        works.append(Work("gap", name, identity, settings, run.place, committed=committed))
    yield works


def expect(run: RunContext, rates: Rates) -> Cost:
    """One unit a split."""
    return Cost(len(run.plan.splits) if run.plan.benchmarks else 0)


def perform(work: Work[Identity, Settings], into: Attempt) -> Json:
    """Merge what survived of the pool's lists with what the vectors gave for queries that had lost theirs."""
    listed = pa.concat_tables([read_parquet(Path(path)) for path in work.settings.parts])
    listed = listed.filter(listed.column("uid").is_valid())
    tables = [SCHEMA.empty_table()]
    counts: Json = {}
    for name in work.identity.queries:
        own = listed.filter(pc.equal(listed.column("benchmark"), name)).drop_columns(["benchmark"])
        keys = read_parquet(work.place.path(layout.index(name, "queries.parquet")), columns=["key"])
        merged = merge([own], work.identity.k)
        found = neighbours.ranked(merged, keys.column("key"))
        counts[name] = len(found)
        names = pa.array([name] * len(found), pa.string())
        tables.append(
            found.add_column(0, "benchmark", names).append_column("source", merged.column("source"))
        )
    relative = layout.gap(work.identity.split)
    into.add(relative, rows=write_parquet(into.file(relative), pa.concat_tables(tables), SCHEMA))
    return {"neighbours": counts}
