"""Per query, the similarity of the nearest reference sample: τ_q (METHODS: similarity gap of the reference).

It is exact whatever backend the plan names, for `calibrate` is.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from indexes.errors import DataError
from pipeline.commit import Attempt
from pipeline.execution.work import Json, RunContext, Work, output_digests, output_paths
from pipeline.files.database import connect, files
from pipeline.files.parquet import read_parquet, write_parquet
from pipeline.sets.uids import as_hex

ADDED = [("threshold", pa.float64()), ("reference_uid", pa.string()), ("reference_key", pa.string())]


def plan(run: RunContext) -> Iterator[list[Work]]:
    """List one unit per benchmark."""
    works = []
    calibrated = run.records("calibrate")
    start = 0
    for name in run.plan.benchmarks:
        queries = run.done["index"][name].facts["queries"]
        identity: Json = {
            "benchmark": name,
            "images": output_digests([run.done["index"][name]], f"indexes/{name}/images.parquet"),
            "calibrated": output_digests(calibrated, "thresholds/"),
            "start": start,
        }
        settings = run.settings | {
            "images": run.path(f"indexes/{name}/images.parquet"),
            "parts": [run.path(path) for path in output_paths(calibrated, "thresholds/")],
        }
        works.append(Work("thresholds", name, identity, settings, rows=queries))
        start += queries
    yield works


def perform(work: Work, into: Attempt) -> Json:
    """Write a benchmark's queries with their thresholds; null where the plan has no reference."""
    images = read_parquet(Path(work.settings["images"]))
    nearest = _nearest(work, len(images)) if work.settings["parts"] else _none(len(images))
    table = images
    for name, _ in ADDED:
        table = table.append_column(name, nearest.column(name))
    relative = f"indexes/{work.identity['benchmark']}/queries.parquet"
    into.add(relative, rows=write_parquet(into.file(relative), table, table.schema))
    return {"queries": len(table), "calibrated": bool(work.settings["parts"])}


def _none(rows: int) -> pa.Table:
    return pa.table([pa.nulls(rows, kind) for _, kind in ADDED], names=[name for name, _ in ADDED])


def _nearest(work: Work, queries: int) -> pa.Table:
    """Take the maximum over the reference parts; ties go to the lower uid."""
    start = work.identity["start"]
    statement = """
        SELECT query, similarity, uid, key FROM read_parquet($parts, hive_partitioning = false)
        WHERE query >= $start AND query < $stop
        QUALIFY row_number() OVER (PARTITION BY query ORDER BY similarity DESC, uid) = 1
        ORDER BY query
    """
    values = {"parts": files(work.settings["parts"]), "start": start, "stop": start + queries}
    with connect(Path(work.settings["out"]), work.settings["memory_limit"], work.settings["threads"]) as db:
        found = db.sql(statement, params=values).to_arrow_table()
    if len(found) != queries or not np.array_equal(
        found.column("query").to_numpy(), np.arange(start, start + queries)
    ):
        raise DataError(
            f"the reference gives a threshold for {len(found)} of {queries} queries of {work.identity['benchmark']}; "
            "a query without one would never drop anything, so the run stops: the reference has no usable vectors"
        )
    columns = [found.column("similarity"), as_hex(found.column("uid").cast(pa.uuid())), found.column("key")]
    return pa.table(columns, names=[name for name, _ in ADDED])
