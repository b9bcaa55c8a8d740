"""Per query, its k nearest pool samples over all parts: the similarity gap of the pool.

The lists of an approximate backend hold the samples that found the query: a list may be short, or empty where none did.
Every similarity in them is exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from pipeline.commit import Attempt
from pipeline.execution.work import Json, RunContext, Work, output_digests, output_paths
from pipeline.files.database import connect, files
from pipeline.files.parquet import read_parquet, write_parquet
from pipeline.sets.uids import as_hex

# One file per benchmark; ranks count from 1, the nearest.
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


RESCANNED = """
    UNION ALL SELECT query, uid, key, similarity
    FROM read_parquet($rescanned, hive_partitioning = false) WHERE split = $split
"""


def plan(run: RunContext) -> Iterator[list[Work]]:
    """List one unit: merging is small beside measuring."""
    measured = run.records("measure")
    identity: Json = {
        "parts": sorted(output_digests(measured, "neighbours/parts/")),
        "segments": segments(run),
        "queries": output_digests(run.records("thresholds")),
        "k": run.plan.neighbours,
    }
    settings = run.settings | {"parts": [run.path(p) for p in output_paths(measured, "neighbours/parts/")]}
    yield [Work("neighbours", "pool", identity, settings)]


def segments(run: RunContext) -> list[tuple[str, int, int]]:
    """Give each benchmark's place among the packed queries: name, start, stop."""
    found, start = [], 0
    for name in run.plan.benchmarks:
        stop = start + run.done["index"][name].facts["queries"]
        found.append((name, start, stop))
        start = stop
    return found


def perform(work: Work, into: Attempt) -> Json:
    """Merge the parts' lists into one file per benchmark."""
    return merge(work, into, "neighbours")


def merge(work: Work, into: Attempt, folder: str) -> Json:
    """Merge lists of neighbours (`query` packed, `uid`, `key`, `similarity`) into `<folder>/<benchmark>.parquet`.

    Nearest first; ties by the lower uid; at most `identity["k"]` a query.
    """
    counts: Json = {}
    for name, start, stop in work.identity["segments"]:
        relative = f"{folder}/{name}.parquet"
        batches = _nearest(work, name, start, stop)
        counts[name] = write_parquet(into.file(relative), batches, SCHEMA)
        into.add(relative, rows=counts[name])
    return {"neighbours": counts}


def _nearest(work: Work, name: str, start: int, stop: int) -> Iterator[pa.RecordBatch]:
    out = Path(work.settings["out"])
    keys = read_parquet(out / "indexes" / name / "queries.parquet", columns=["key"]).column("key")
    statement = """
        SELECT query - $start AS query, rank, uid, key, similarity FROM (
            SELECT *, row_number() OVER (PARTITION BY query ORDER BY similarity DESC, uid) AS rank
            FROM (SELECT query, uid, key, similarity FROM read_parquet($parts, hive_partitioning = false) {again})
            WHERE query >= $start AND query < $stop
        )
        WHERE rank <= $k ORDER BY query, rank
    """
    values = {"parts": files(work.settings["parts"]), "start": start, "stop": stop, "k": work.identity["k"]}
    rescanned = work.settings.get("rescanned")
    if rescanned:
        values |= {"rescanned": files(rescanned), "split": work.identity["split"]}
    statement = statement.format(again=RESCANNED if rescanned else "")
    with connect(out, work.settings["memory_limit"], work.settings["threads"]) as db:
        for batch in db.sql(statement, params=values).to_arrow_reader():
            table = pa.Table.from_batches([batch])
            columns = {
                "query": table.column("query").cast(pa.int32()),
                "query_key": keys.take(table.column("query")),
                "rank": table.column("rank").cast(pa.int32()),
                "uid": as_hex(table.column("uid").cast(pa.uuid())),
                "key": table.column("key"),
                "similarity": table.column("similarity"),
            }
            yield from pa.table(columns, schema=SCHEMA).to_batches()
