"""The pool against all queries: the one expensive pass. It measures and never drops.

Only here may a plan's approximate backend stand in for an exact one. The unit then compares a sample of its answers
with those of the exact engine and records how far off they were, for the report.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import groupby
from operator import itemgetter

import numpy as np
import pyarrow as pa

from indexes.quality import ROWS, SEED, SampledScanner
from indexes.queries import Queries
from indexes.scores import Scores
from indexes.search import Scanner, is_exact
from pipeline.commit import Attempt
from pipeline.execution.work import Json, RunContext, Work
from pipeline.files.parquet import write_parquet
from pipeline.stages._parts import parts_in, units_of
from pipeline.stages._queries import packed_queries, query_identity, query_settings, scan_options, scanner
from pipeline.stages._scan import NEIGHBOURS_SCHEMA, QUARANTINED_SCHEMA, Seen, neighbour_table, scan_parts

SCORE_TYPE = pa.struct(
    [
        ("similarity", pa.float64()),
        ("nearest", pa.int32()),
        ("margin", pa.float64()),
        ("margin_query", pa.int32()),
    ]
)


def measure_schema(benchmarks: list[str]) -> pa.Schema:
    """Give the columns of `measures/similarity/`: the uid, then a struct per benchmark."""
    return pa.schema([("uid", pa.uuid()), *((name, SCORE_TYPE) for name in benchmarks)])


def plan(run: RunContext) -> Iterator[list[Work]]:
    """List the units, one or more pool parts each."""
    shared: Json = {
        "queries": query_identity(run, thresholds=True),
        "backend": run.plan.engine.backend,
        "neighbours": run.plan.neighbours,
        "benchmarks": list(run.plan.benchmarks),
    }
    if not is_exact(run.plan.engine.backend):
        shared["quality"] = {"rows": ROWS, "seed": SEED}
    yield units_of(run, "measure", "pool", shared, run.settings | query_settings(run))


def perform(work: Work, into: Attempt) -> Json:
    """Score the parts, a file each, and keep for each query the nearest samples of all of them.

    The record of an approximate backend also has `quality`: how the sampled answers compare with exact ones.
    """
    queries = packed_queries(work, thresholds=True)
    search, sampled = _open(work, queries)
    seen, schema = Seen(), measure_schema(work.identity["benchmarks"])
    for number, scored in groupby(scan_parts(parts_in(work), search, seen), key=itemgetter(0)):
        relative = f"measures/similarity/part-{number}.parquet"
        into.add(relative, rows=write_parquet(into.file(relative), score_batches(scored, schema), schema))
        relative, lost = f"measures/similarity/quarantined-{number}.parquet", seen.lost([number])
        into.add(relative, rows=write_parquet(into.file(relative), lost, QUARANTINED_SCHEMA))
    relative, near = f"neighbours/parts/part-{work.name}.parquet", neighbour_table(search, seen)
    into.add(relative, rows=write_parquet(into.file(relative), near, NEIGHBOURS_SCHEMA))
    if sampled is None:
        return seen.facts()
    quality = sampled.quality(queries, scan_options(work, k=1))
    return seen.facts() | {"quality": asdict(quality)}


def _open(work: Work, queries: Queries) -> tuple[Scanner, SampledScanner | None]:
    """Open the search, and where it is not exact a sample of what it answers."""
    search = scanner(work, queries, k=work.identity["neighbours"])
    chosen = work.identity.get("quality")
    if chosen is None:
        return search, None
    sampled = SampledScanner(search, chosen["rows"], chosen["seed"])
    return sampled, sampled


def score_batches(
    scored: Iterable[tuple[str, pa.Table, Scores]], schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """Give what `scan_parts` gives as rows of `measures/similarity/`."""
    for _, samples, scores in scored:
        columns = [samples.column("uid").combine_chunks()]
        columns += [_struct(scores, segment) for segment in range(len(schema) - 1)]
        yield from pa.table(columns, schema=schema).to_batches()


def _struct(scores: Scores, segment: int) -> pa.StructArray:
    """Lay one benchmark's columns side by side; margins are null without a reference."""
    rows = len(scores.similarity)
    if scores.margin is None or scores.margin_query is None:
        margin, margin_query = pa.nulls(rows, pa.float64()), pa.nulls(rows, pa.int32())
    else:
        margin = pa.array(np.ascontiguousarray(scores.margin[:, segment]))
        margin_query = pa.array(np.ascontiguousarray(scores.margin_query[:, segment]))
    similarity = pa.array(np.ascontiguousarray(scores.similarity[:, segment]))
    nearest = pa.array(np.ascontiguousarray(scores.nearest[:, segment]))
    return pa.StructArray.from_arrays([similarity, nearest, margin, margin_query], fields=list(SCORE_TYPE))
