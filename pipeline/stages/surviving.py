"""Per split and query, which of the nearest samples are still there; and which queries lost them all.

This is said for the pool, and for each further set that the split has samples of.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline import layout
from pipeline.commit import Attempt, Record
from pipeline.execution.context import RunContext, digests, paths
from pipeline.execution.costs import Cost, Rates
from pipeline.execution.work import Json, Place, Work
from pipeline.files.parquet import read_parquet, write_parquet
from pipeline.passes.merging import merge
from pipeline.passes.running_search import NEAREST_SCHEMA
from pipeline.sets.membership import is_member
from pipeline.sets.uids import as_pairs
from pipeline.stages import offer

AFTER = ("neighbours", "offer", "split")
SCHEMA = pa.schema(
    [
        ("benchmark", pa.string()),
        ("query", pa.int32()),
        ("uid", pa.string()),
        ("key", pa.string()),
        ("similarity", pa.float64()),
        ("source", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class Identity:
    """What decides a unit's bytes.

    Attributes:
        split: The split.
        kept: Digest of its uids, and of where they come from.
        neighbours: Each benchmark's neighbours in the pool.
        sets: The sets that its samples come from, in the order of their numbers.
        offered: By set and benchmark, the neighbours in its parts.
        k: How many of them are listed.
    """

    split: str
    kept: tuple[str, ...]
    neighbours: dict[str, list[str]]
    sets: tuple[str, ...]
    offered: dict[str, dict[str, list[str]]]
    k: int


@dataclass(frozen=True, slots=True)
class Settings:
    """Queries of each benchmark; by set and benchmark, the files of the neighbours in its parts."""

    queries: dict[str, int]
    offered: dict[str, dict[str, list[str]]]


def plan(run: RunContext) -> Iterator[list[Work[Identity, Settings]]]:
    """List one unit per split."""
    neighbours = {name: digests([run.record("neighbours", name)]) for name in run.plan.benchmarks}
    queries = {name: int(run.record("index", name).facts["queries"]) for name in run.plan.benchmarks}
    works = []
    for name in run.plan.splits if neighbours else ():
        sets, names = sources_of(run, name), kept_files(run, name)
        kept = [output.sha256 for output in run.outputs(names)]
        found = {one: {each: _offered(run, one, each) for each in neighbours} for one in sets[1:]}
        identity = Identity(
            name,
            tuple(kept),
            neighbours,
            sets,
            {one: {each: digests(records) for each, records in of.items()} for one, of in found.items()},
            run.plan.neighbours,
        )
        lists = {
            one: {
                each: paths(records, layout.folder(layout.offered(one, each, 0)))
                for each, records in of.items()
            }
            for one, of in found.items()
        }
        read = [*names, *map(layout.neighbours, neighbours)]
        read += [path for of in lists.values() for files in of.values() for path in files]
        settings, committed = Settings(queries, lists), run.outputs(read)
        works.append(Work("surviving", name, identity, settings, run.place, committed=committed))
    yield works


def _offered(run: RunContext, name: str, benchmark: str) -> list[Record]:
    return run.part_records("offer", offer.unit_name(name, benchmark))


def sources_of(run: RunContext, split: str) -> tuple[str, ...]:
    """Name the sets that a split's samples come from, in the order of their numbers in `sources.npy`."""
    told = run.record("split", split).facts.get("sources")
    return ("pool",) if told is None else tuple(each["name"] for each in told)


def kept_files(run: RunContext, split: str) -> list[str]:
    """List the files that say what a split keeps, and of which set it is where there are several."""
    several = len(sources_of(run, split)) > 1
    return [layout.split(split, name) for name in ("uids.npy", *(["sources.npy"] if several else []))]


def expect(run: RunContext, rates: Rates) -> Cost:
    """One unit a split."""
    return Cost(len(run.plan.splits) if run.plan.benchmarks else 0)


def perform(work: Work[Identity, Settings], into: Attempt) -> Json:
    """Keep each query's neighbours that the split kept; a query that has none left has a row without a sample."""
    split, sets = work.identity.split, work.identity.sets
    tables, exhausted = [SCHEMA.empty_table()], {}
    for source in sets:
        kept = kept_uids(work.place, split, sets, source)
        exhausted[source] = 0
        for name in work.identity.neighbours:
            table = _listed(work, source, name)
            still = is_member(kept, as_pairs(table.column("uid")))
            stays = table.filter(pa.array(still))
            tables.append(_rows(name, source, stays))
            if len(kept):
                lost = np.setdiff1d(np.arange(work.settings.queries[name]), stays.column("query").to_numpy())
                tables.append(_without_sample(name, source, lost))
                exhausted[source] += len(lost)
    relative = layout.surviving(split)
    into.add(relative, rows=write_parquet(into.file(relative), pa.concat_tables(tables), SCHEMA))
    return {"exhausted": exhausted}


def _listed(work: Work[Identity, Settings], source: str, benchmark: str) -> pa.Table:
    """Read each query's nearest samples of a set, kept or not."""
    if source == "pool":
        return read_parquet(work.place.path(layout.neighbours(benchmark)))
    found = NEAREST_SCHEMA.empty_table()
    for path in work.settings.offered[source][benchmark]:
        found = merge([found, read_parquet(work.place.path(path))], work.identity.k)
    return found


def kept_uids(place: Place, split: str, sets: Sequence[str], source: str) -> np.ndarray:
    """Open what a split keeps of a set: DataComp's sorted pairs of uint64."""
    path = place.path(layout.split(split, "uids.npy"))
    found: np.ndarray = np.load(str(path), mmap_mode="r", allow_pickle=False)
    if len(sets) == 1:
        return found
    path = place.path(layout.split(split, "sources.npy"))
    sources: np.ndarray = np.load(str(path), mmap_mode="r", allow_pickle=False)
    return np.asarray(found[sources == sets.index(source)])


def _rows(benchmark: str, source: str, table: pa.Table) -> pa.Table:
    names, sources = (pa.array([name] * len(table), pa.string()) for name in (benchmark, source))
    return pa.table([names, *(table.column(n) for n in SCHEMA.names[1:-1]), sources], schema=SCHEMA)


def _without_sample(benchmark: str, source: str, queries: np.ndarray) -> pa.Table:
    columns = {
        "benchmark": pa.array([benchmark] * len(queries), pa.string()),
        "query": pa.array(queries.astype(np.int32)),
        "uid": pa.nulls(len(queries), pa.string()),
        "key": pa.nulls(len(queries), pa.string()),
        "similarity": pa.nulls(len(queries), pa.float64()),
        "source": pa.array([source] * len(queries), pa.string()),
    }
    return pa.table(columns, schema=SCHEMA)
