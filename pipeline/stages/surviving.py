"""Per split and query, which of the nearest pool samples are still there; and which queries lost them all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline import layout
from pipeline.commit import Attempt
from pipeline.execution.context import RunContext, digests
from pipeline.execution.costs import Cost, Rates
from pipeline.execution.work import Json, Work
from pipeline.files.parquet import read_parquet, write_parquet
from pipeline.sets.membership import is_member
from pipeline.sets.uids import as_pairs

AFTER = ("neighbours", "split")
SCHEMA = pa.schema(
    [
        ("benchmark", pa.string()),
        ("query", pa.int32()),
        ("uid", pa.string()),
        ("key", pa.string()),
        ("similarity", pa.float64()),
    ]
)


@dataclass(frozen=True, slots=True)
class Identity:
    """What decides a unit's bytes: what the split keeps, and each benchmark's neighbours in the pool."""

    split: str
    kept: tuple[str, ...]
    neighbours: dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Settings:
    """Queries of each benchmark."""

    queries: dict[str, int]


def plan(run: RunContext) -> Iterator[list[Work[Identity, Settings]]]:
    """List one unit per split."""
    neighbours = {name: digests([run.record("neighbours", name)]) for name in run.plan.benchmarks}
    queries = {name: int(run.record("index", name).facts["queries"]) for name in run.plan.benchmarks}
    works = []
    for name in run.plan.splits if neighbours else ():
        kept = digests([run.record("split", name)], layout.split(name, "uids.npy"))
        identity = Identity(name, tuple(kept), neighbours)
        read = [layout.split(name, "uids.npy"), *map(layout.neighbours, neighbours)]
        committed = run.outputs(read)
        works.append(Work("surviving", name, identity, Settings(queries), run.place, committed=committed))
    yield works


def expect(run: RunContext, rates: Rates) -> Cost:
    """One unit a split."""
    return Cost(len(run.plan.splits) if run.plan.benchmarks else 0)


def perform(work: Work[Identity, Settings], into: Attempt) -> Json:
    """Keep each query's neighbours that the split kept; a query that has none left has a row without a sample."""
    split = work.identity.split
    kept = kept_uids(work.place.path(layout.split(split, "uids.npy")))
    tables, exhausted = [SCHEMA.empty_table()], 0
    for name in work.identity.neighbours:
        table = read_parquet(work.place.path(layout.neighbours(name)))
        still = is_member(kept, as_pairs(table.column("uid")))
        stays = table.filter(pa.array(still))
        tables.append(_rows(name, stays))
        if len(kept):
            lost = np.setdiff1d(np.arange(work.settings.queries[name]), stays.column("query").to_numpy())
            tables.append(_without_sample(name, lost))
            exhausted += len(lost)
    relative = layout.surviving(split)
    into.add(relative, rows=write_parquet(into.file(relative), pa.concat_tables(tables), SCHEMA))
    return {"exhausted": exhausted}


def kept_uids(path: object) -> np.ndarray:
    """Open a split's `uids.npy`: DataComp's sorted pairs of uint64."""
    found: np.ndarray = np.load(str(path), mmap_mode="r", allow_pickle=False)
    return found


def _rows(benchmark: str, table: pa.Table) -> pa.Table:
    names = pa.array([benchmark] * len(table), pa.string())
    return pa.table([names, *(table.column(n) for n in SCHEMA.names[1:])], schema=SCHEMA)


def _without_sample(benchmark: str, queries: np.ndarray) -> pa.Table:
    columns = {
        "benchmark": pa.array([benchmark] * len(queries), pa.string()),
        "query": pa.array(queries.astype(np.int32)),
        "uid": pa.nulls(len(queries), pa.string()),
        "key": pa.nulls(len(queries), pa.string()),
        "similarity": pa.nulls(len(queries), pa.float64()),
    }
    return pa.table(columns, schema=SCHEMA)
