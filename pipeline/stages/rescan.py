"""Vectors again, only for the queries whose every listed neighbour a split dropped.

A list of k neighbours says what remains near a query until all k are gone; then only the vectors know. One pass over
a part serves every split that waits for it. It is exact with every backend that a plan may name; a query for which an
approximate measuring pass listed no neighbour is among its queries.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from indexes.queries import Queries
from pipeline import layout
from pipeline.commit import Attempt
from pipeline.execution.context import RunContext, digests
from pipeline.execution.costs import Cost, Rates, rows_of
from pipeline.execution.work import Json, Work
from pipeline.files.parquet import read_parquet, write_parquet
from pipeline.measuring import encoder_name
from pipeline.passes.located import committed_of, groups_of, inputs_of, parts_of, stored, stored_identity
from pipeline.passes.packed_queries import (
    QueryFiles,
    exactly,
    open_search,
    packed,
    query_files,
    query_identity,
    query_paths,
)
from pipeline.passes.part_pass import Pass, Rows, lane, pairs
from pipeline.passes.running_search import Search
from pipeline.sets.membership import is_member
from pipeline.sets.parts import Part, Stored
from pipeline.stages.surviving import SCHEMA, kept_files, kept_uids, sources_of

AFTER = ("surviving",)


@dataclass(frozen=True, slots=True)
class Identity:
    """What decides a unit's bytes: the split and its lost queries, the queries, the part's rows and vectors.

    Attributes:
        split: The split.
        name: The set that the part is of.
        sets: The sets of the split's samples, in the order of their numbers.
        kept: Digests of what it keeps.
        surviving: Digest of what is left of the lists.
        queries: By benchmark, digests of its queries.
        k: How many neighbours are listed.
        backend: How they are found.
        part: Number of the part.
        rows: Its content.
        skip: Values of `row` that take no part.
        vectors: By lane, the content of its vectors.
    """

    split: str
    name: str
    sets: tuple[str, ...]
    kept: tuple[str, ...]
    surviving: tuple[str, ...]
    queries: dict[str, list[str]]
    k: int
    backend: str
    part: int
    rows: str
    skip: tuple[int, ...]
    vectors: dict[str, str]


@dataclass(frozen=True, slots=True)
class Settings:
    """The part, its vectors by lane, and each lane's benchmarks."""

    part: Part
    lanes: dict[str, Stored]
    queries: dict[str, tuple[QueryFiles, ...]] = field(default_factory=dict)


def plan(run: RunContext) -> Iterator[list[Work[Identity, Settings]]]:
    """List one unit per part of a set and split that lost all neighbours of some query in that set."""
    lost = lost_lists(run)
    if not lost:
        return
    files = {name: query_files(run, name, thresholds=False) for name in run.plan.benchmarks}
    by_lane: dict[str, list[QueryFiles]] = {}
    for name, found in files.items():
        by_lane.setdefault(lane(encoder_name(run.plan, name), "image"), []).append(found)
    works = []
    for name, splits in lost.items():
        shards = dict(groups_of(run, name))
        for part in parts_of(run, name):
            lanes = {
                key: stored(run, name, part.number, shards[part.number], key.rpartition(" ")[0], "image")
                for key in by_lane
            }
            settings = Settings(part, lanes, {key: tuple(found) for key, found in by_lane.items()})
            works += [_work(run, (split, name), settings, files) for split in splits]
    yield works


def lost_lists(run: RunContext) -> dict[str, list[str]]:
    """Name, for each set, the splits that lost all neighbours of some query in it."""
    found: dict[str, list[str]] = {}
    for split, record in run.done.get("surviving", {}).items():
        for name, queries in record.facts["exhausted"].items():
            if queries:
                found.setdefault(name, []).append(split)
    return found


def unit_name(split: str, name: str) -> str:
    """Call the units that look again at the parts of a set."""
    return f"{split} {name}"


def _work(
    run: RunContext, of: tuple[str, str], settings: Settings, files: dict[str, QueryFiles]
) -> Work[Identity, Settings]:
    (split, name), part = of, settings.part
    names = kept_files(run, split)
    identity = Identity(
        split,
        name,
        sources_of(run, split),
        tuple(output.sha256 for output in run.outputs(names)),
        tuple(digests([run.record("surviving", split)])),
        {each: list(query_identity(found)) for each, found in files.items()},
        run.plan.neighbours,
        exactly(run),
        part.number,
        part.digest,
        part.skip,
        {key: stored_identity(run, found) for key, found in settings.lanes.items()},
    )
    queries = [path for each in settings.queries.values() for one in each for path in query_paths(one)]
    own = [layout.surviving(split), *names, *queries]
    return Work(
        "rescan",
        f"{unit_name(split, name)} {part.number:04d}",
        identity,
        settings,
        run.place,
        inputs_of(run, settings.lanes.values()),
        (*committed_of(run, part, settings.lanes.values()), *run.outputs(own)),
        (name, part.number),
        together=f"{name} {part.number}",
        rows=part.counted,
    )


class _Again:
    """One split's lost queries of one lane against its kept samples."""

    def __init__(self, work: Work[Identity, Settings], key: str, lost: dict[str, Any]) -> None:
        split, files = work.identity.split, work.settings.queries[key]
        whole = packed(files)
        self.lost = {found.name: lost[found.name] for found in files if len(lost.get(found.name, ()))}
        starts = dict(zip(whole.names, whole.starts.tolist(), strict=False))
        chosen = np.concatenate([starts[name] + query for name, query in self.lost.items()])
        bounds = np.cumsum([0, *(len(query) for query in self.lost.values())], dtype=np.int64)
        queries = Queries(whole.vectors[chosen], tuple(self.lost), bounds, None)
        scanner = open_search(queries, work.place, work.identity.k, work.identity.backend, {})
        self.search = Search(tuple(self.lost), key, queries, scanner)
        self.source = work.identity.name
        self.kept = kept_uids(work.place, split, work.identity.sets, self.source)

    def scan(self, rows: Rows) -> None:
        """Compare the rows of a block that the split kept."""
        mask = rows.healthy([self.search.lane])
        samples = rows.samples(mask)
        uids = pairs(samples)
        still = is_member(self.kept, uids)
        self.search.samples.append(samples.filter(pa.array(still)))
        self.search.scanner.scan(rows.vectors(self.search.lane, mask)[still], uids[still])

    def tables(self) -> Iterator[pa.Table]:
        """List what was found, with each benchmark's own query numbers."""
        for name, numbers in self.lost.items():
            found = self.search.nearest(name)
            query = numbers[found.column("query").to_numpy()].astype(np.int32)
            table = found.set_column(0, "query", pa.array(query))
            names, sources = (pa.array([each] * len(table), pa.string()) for each in (name, self.source))
            yield table.add_column(0, "benchmark", names).append_column("source", sources).cast(SCHEMA)


def expect(run: RunContext, rates: Rates) -> Cost:
    """How many queries lose their whole list shows when the splits are cut."""
    lost = {name: len(splits) for name, splits in lost_lists(run).items()}
    known = len(run.records("surviving")) == len(run.plan.splits) or not run.plan.benchmarks
    units = sum(splits * len(groups_of(run, name)) for name, splits in lost.items())
    rows = sum(splits * rows_of(run, name) for name, splits in lost.items())
    return Cost(units, rows=rows, known=known)


def perform_many(works: Sequence[Work[Identity, Settings]], attempts: Sequence[Attempt]) -> list[Json]:
    """Find, for each split, the nearest kept samples of a part for the queries that it lost."""
    searches = [_searches(work) for work in works]
    settings = works[0].settings
    looking = Pass(settings.part, settings.lanes, noted=attempts[0].noted)
    for rows in looking.blocks():
        for of_split in searches:
            for search in of_split:
                search.scan(rows)
    contents = looking.contents()
    facts = []
    for work, into, of_split in zip(works, attempts, searches, strict=True):
        into.noted |= contents
        relative = layout.rescanned(work.identity.split, work.identity.part, work.identity.name)
        tables = [SCHEMA.empty_table(), *(table for search in of_split for table in search.tables())]
        rows_written = write_parquet(into.file(relative), pa.concat_tables(tables), SCHEMA)
        into.add(relative, rows=rows_written)
        facts.append({"rows": rows_written})
    return facts


def _searches(work: Work[Identity, Settings]) -> list[_Again]:
    path = Path(work.place.path(layout.surviving(work.identity.split)))
    table = read_parquet(path, columns=["benchmark", "query", "uid", "source"])
    table = table.filter(
        pc.and_(table.column("uid").is_null(), pc.equal(table.column("source"), work.identity.name))
    )
    names, query = table.column("benchmark").to_numpy(zero_copy_only=False), table.column("query").to_numpy()
    lost = {name: query[names == name] for name in work.identity.queries}
    lanes = [k for k, files in work.settings.queries.items() if any(len(lost[f.name]) for f in files)]
    return [_Again(work, key, lost) for key in lanes]
