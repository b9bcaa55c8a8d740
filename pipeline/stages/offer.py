"""Sets that splits add, against the queries of each benchmark: what they bring to a split's similarity gap.

This is exact with every backend that a plan may name. Benchmarks that wait for the same part share one pass over it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline import layout
from pipeline.commit import Attempt
from pipeline.execution.context import RunContext, paths
from pipeline.execution.costs import Cost, Rates, queries_of, rows_of, width_of
from pipeline.execution.work import Json, Work
from pipeline.files.parquet import write_parquet
from pipeline.measuring import encoder_name
from pipeline.passes.located import (
    committed_of,
    groups_of,
    inputs_of,
    offered_sets,
    parts_of,
    stored,
    stored_identity,
)
from pipeline.passes.packed_queries import exactly, query_files, query_identity, query_paths
from pipeline.passes.part_pass import QUARANTINED_SCHEMA
from pipeline.passes.running_search import NEAREST_SCHEMA
from pipeline.sets.parts import Part
from pipeline.stages import calibrate
from pipeline.stages.calibrate import Settings

AFTER = ("calibrate",)


@dataclass(frozen=True, slots=True)
class Identity:
    """What decides a unit's bytes: the queries, how many neighbours, and the part's rows and vectors."""

    name: str
    benchmark: str
    queries: tuple[str, ...]
    k: int
    part: int
    rows: str
    skip: tuple[int, ...]
    vectors: str
    backend: str


def plan(run: RunContext) -> Iterator[list[Work[Identity, Settings]]]:
    """List one unit per part of a set and benchmark."""
    yield [
        _work(run, name, benchmark, part)
        for name in offered_sets(run)
        for benchmark in run.plan.benchmarks
        for part in parts_of(run, name)
    ]


def _work(run: RunContext, name: str, benchmark: str, part: Part) -> Work[Identity, Settings]:
    encoder, files = encoder_name(run.plan, benchmark), query_files(run, benchmark, thresholds=False)
    found = stored(run, name, part.number, dict(groups_of(run, name))[part.number], encoder, "image")
    identity = Identity(
        name,
        benchmark,
        query_identity(files),
        run.plan.neighbours,
        part.number,
        part.digest,
        part.skip,
        stored_identity(run, found),
        exactly(run),
    )
    return Work(
        "offer",
        f"{unit_name(name, benchmark)} {part.number:04d}",
        identity,
        Settings(files, part, found),
        run.place,
        inputs_of(run, [found]),
        (*committed_of(run, part, [found]), *run.outputs(query_paths(files))),
        (name, part.number),
        together=f"{name} {encoder} {part.number}",
        rows=part.rows,
    )


def unit_name(name: str, benchmark: str) -> str:
    """Call the units that compare the parts of a set with a benchmark."""
    return f"{name} {benchmark}"


def without_vector(run: RunContext, name: str, number: int) -> list[str]:
    """List the files of a part's rows that cannot be compared: one per encoder, for those that lost some.

    Of the reference, calibration lists them.
    """
    # Benchmarks of one encoder are compared with the same vectors.
    compared = {encoder_name(run.plan, one): one for one in run.plan.benchmarks}.values()
    if name == "reference":
        records = [run.record("calibrate", calibrate.unit_name(one, number)) for one in compared]
    else:
        records = [run.record("offer", f"{unit_name(name, one)} {number:04d}") for one in compared]
    return paths(records, layout.all_set_aside(name))


def expect(run: RunContext, rates: Rates) -> Cost:
    """Every vector of such a set is compared with every query."""
    names = offered_sets(run) if run.plan.benchmarks else ()
    rows, width = sum(rows_of(run, name) for name in names), width_of(run) if names else 0
    units = len(run.plan.benchmarks) * sum(len(groups_of(run, name)) for name in names)
    return Cost(units, rows * width * 2, seconds=rows * queries_of(run) * width / rates.products)


def perform_many(works: Sequence[Work[Identity, Settings]], attempts: Sequence[Attempt]) -> list[Json]:
    """Find, for each query of each benchmark, the nearest samples of a part; one pass serves them all."""
    first = works[0]
    queries = tuple(work.settings.queries for work in works)
    how = (first.place, first.identity.k, first.identity.backend)
    passed = calibrate.one_pass(first.settings, queries, how, attempts[0].noted)
    for work, into in zip(works, attempts, strict=True):
        name, benchmark, number = work.identity.name, work.identity.benchmark, work.identity.part
        into.noted |= passed.contents
        relative = layout.offered(name, benchmark, number)
        found = passed.search.nearest(benchmark)
        into.add(relative, rows=write_parquet(into.file(relative), found, NEAREST_SCHEMA))
        if len(passed.aside) and name != "reference":
            relative = layout.set_aside(name, benchmark, number)
            into.add(relative, rows=write_parquet(into.file(relative), passed.aside, QUARANTINED_SCHEMA))
    return [passed.facts for _ in works]
