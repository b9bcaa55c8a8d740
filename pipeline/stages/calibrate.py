"""The reference against the queries of each benchmark: how near does the in-distribution training set come.

This is exact with every backend that a plan may name. Benchmarks that wait for the same part share one pass over it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from pipeline import layout
from pipeline.commit import Attempt
from pipeline.execution.context import RunContext
from pipeline.execution.costs import Cost, Rates, queries_of, rows_of, width_of
from pipeline.execution.work import Json, Place, Work
from pipeline.files.parquet import write_parquet
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
from pipeline.passes.part_pass import QUARANTINED_SCHEMA, Pass, count_reasons, lane
from pipeline.passes.running_search import NEAREST_SCHEMA, Search
from pipeline.sets.parts import Part, Stored

AFTER = ("index",)


@dataclass(frozen=True, slots=True)
class Identity:
    """What decides a unit's bytes: the queries, and the part's rows and vectors."""

    benchmark: str
    queries: tuple[str, ...]
    part: int
    rows: str
    skip: tuple[int, ...]
    vectors: str
    backend: str


@dataclass(frozen=True, slots=True)
class Settings:
    """The queries, and the part with its vectors."""

    queries: QueryFiles
    part: Part
    stored: Stored


def plan(run: RunContext) -> Iterator[list[Work[Identity, Settings]]]:
    """List one unit per part of the reference and benchmark, where there is a reference."""
    if run.plan.reference is None:
        return
    works = []
    shards, parts = dict(groups_of(run, "reference")), parts_of(run, "reference")
    for name in run.plan.benchmarks:
        encoder = encoder_name(run.plan, name)
        files = query_files(run, name, thresholds=False)
        queries = run.outputs(query_paths(files))
        for part in parts:
            found = stored(run, "reference", part.number, shards[part.number], encoder, "image")
            vectors = stored_identity(run, found)
            backend = exactly(run)
            identity = Identity(
                name, query_identity(files), part.number, part.digest, part.skip, vectors, backend
            )
            works.append(
                Work(
                    "calibrate",
                    unit_name(name, part.number),
                    identity,
                    Settings(files, part, found),
                    run.place,
                    inputs_of(run, [found]),
                    (*committed_of(run, part, [found]), *queries),
                    ("reference", part.number),
                    together=f"{encoder} {part.number}",
                    rows=part.rows,
                )
            )
    yield works


def unit_name(benchmark: str, number: int) -> str:
    """Call the unit that compares a part of the reference with a benchmark."""
    return f"{benchmark} {number:04d}"


def expect(run: RunContext, rates: Rates) -> Cost:
    """Every reference vector is compared with every query."""
    if run.plan.reference is None:
        return Cost(0)
    rows, width = rows_of(run, "reference"), width_of(run)
    benchmarks = len(run.plan.benchmarks)
    units = benchmarks * len(groups_of(run, "reference"))
    seconds = rows * queries_of(run) * width / rates.products
    return Cost(units, rows * width * 2, seconds=seconds, rows=rows * benchmarks)


def perform_many(works: Sequence[Work[Identity, Settings]], attempts: Sequence[Attempt]) -> list[Json]:
    """Find, for each query of each benchmark, the nearest sample of a part; one pass serves them all.

    Rows whose vector cannot be compared are listed in a file, where there are any.
    """
    first = works[0]
    queries = tuple(work.settings.queries for work in works)
    passed = one_pass(first.settings, queries, (first.place, 1, first.identity.backend), attempts[0].noted)
    for work, into in zip(works, attempts, strict=True):
        into.noted |= passed.contents
        relative = layout.calibration(work.identity.benchmark, work.identity.part)
        found = passed.search.nearest(work.identity.benchmark)
        into.add(relative, rows=write_parquet(into.file(relative), found, NEAREST_SCHEMA))
        if len(passed.aside):
            relative = layout.set_aside("reference", work.identity.benchmark, work.identity.part)
            into.add(relative, rows=write_parquet(into.file(relative), passed.aside, QUARANTINED_SCHEMA))
    return [passed.facts for _ in works]


@dataclass(frozen=True, slots=True)
class PassedPart:
    """What one pass over a part found.

    Attributes:
        search: With each query's nearest samples.
        aside: The rows whose vector cannot be compared, of `QUARANTINED_SCHEMA`.
        contents: What was in the user's vector files, by key.
        facts: Counts of what was compared, set aside and normalised.
    """

    search: Search
    aside: pa.Table
    contents: dict[str, str]
    facts: Json


def one_pass(
    settings: Settings, queries: tuple[QueryFiles, ...], how: tuple[Place, int, str], noted: Mapping[str, str]
) -> PassedPart:
    """Compare a part with the queries of some benchmarks of one encoder.

    Args:
        settings: The part and its vectors.
        queries: The benchmarks.
        how: The machine, how many samples are kept for each query, and the backend.
        noted: The content of inputs that is known already.
    """
    (place, k, backend), whole, key = how, packed(queries), lane("", "image")
    names = tuple(files.name for files in queries)
    search = Search(names, key, whole, open_search(whole, place, k, backend, {}))
    looking = Pass(settings.part, {key: settings.stored}, noted=noted)
    lost, normalised = [], 0
    for rows in looking.blocks():
        search.scan(rows)
        lost.append(rows.set_aside(key))
        normalised += rows.lanes[key].normalised
    compared = sum(len(table) for table in search.samples)
    facts: Json = {"compared": compared, "quarantined": count_reasons(lost), "normalised": normalised}
    aside = pa.concat_tables([QUARANTINED_SCHEMA.empty_table(), *lost])
    return PassedPart(search, aside, looking.contents(), facts)
