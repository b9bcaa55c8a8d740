"""Per query, its k nearest pool samples over all parts: the similarity gap of the pool.

The lists of an approximate backend hold the samples that found the query: a list may be short, or empty where none did.
Every similarity in them is exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from pipeline import layout
from pipeline.commit import Attempt
from pipeline.execution.context import RunContext, digests, paths
from pipeline.execution.costs import Cost, Rates
from pipeline.execution.work import Json, Work
from pipeline.files.parquet import read_parquet, write_parquet
from pipeline.passes.merging import merge, ranks

AFTER = ("measure",)
# Ranks count from 1, the nearest.
SCHEMA = pa.schema(
    [
        ("query", pa.int32()),
        ("query_key", pa.string()),
        ("rank", pa.int32()),
        ("uid", pa.string()),
        ("key", pa.string()),
        ("similarity", pa.float64()),
    ]
)


@dataclass(frozen=True, slots=True)
class Identity:
    """What decides a unit's bytes: the lists of the pool's parts, the benchmark's queries, and how many to keep."""

    benchmark: str
    parts: tuple[str, ...]
    queries: tuple[str, ...]
    k: int


@dataclass(frozen=True, slots=True)
class Settings:
    """The lists' files."""

    parts: tuple[str, ...]


def plan(run: RunContext) -> Iterator[list[Work[Identity, Settings]]]:
    """List one unit per benchmark: merging is small beside measuring."""
    works = []
    for name in run.plan.benchmarks:
        under = layout.folder(layout.nearest(name, 0))
        measured = run.part_records("measure", name)
        queries = digests([run.record("thresholds", name)])
        identity = Identity(name, tuple(digests(measured, under)), tuple(queries), run.plan.neighbours)
        lists = paths(measured, under)
        settings = Settings(tuple(map(run.path, lists)))
        committed = run.outputs([*lists, layout.index(name, "queries.parquet")])
        works.append(Work("neighbours", name, identity, settings, run.place, committed=committed))
    yield works


def expect(run: RunContext, rates: Rates) -> Cost:
    """One unit a benchmark."""
    return Cost(len(run.plan.benchmarks))


def perform(work: Work[Identity, Settings], into: Attempt) -> Json:
    """Merge the parts' lists."""
    name = work.identity.benchmark
    found = merge([read_parquet(Path(path)) for path in work.settings.parts], work.identity.k)
    keys = read_parquet(work.place.path(layout.index(name, "queries.parquet")), columns=["key"])
    relative = layout.neighbours(name)
    rows = write_parquet(into.file(relative), ranked(found, keys.column("key")), SCHEMA)
    into.add(relative, rows=rows)
    return {"neighbours": rows}


def ranked(found: pa.Table, keys: pa.ChunkedArray) -> pa.Table:
    """Add ranks and the queries' keys to merged lists."""
    query = found.column("query")
    columns = {
        "query": query,
        "query_key": keys.take(query),
        "rank": pa.array(ranks(query.to_numpy()), pa.int32()),
    }
    columns |= {name: found.column(name) for name in ("uid", "key", "similarity")}
    return pa.table(columns, schema=SCHEMA)
