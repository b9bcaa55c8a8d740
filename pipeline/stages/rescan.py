"""Vectors again, only for the queries whose every listed neighbour a split dropped.

A list of k neighbours says what remains near a query until all k are gone; then only the vectors know. One pass
serves every split. It is exact whatever backend the plan names; a query for which an approximate measuring pass
listed no neighbour is among its queries.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from indexes.queries import Queries
from indexes.search import Scanner
from pipeline.commit import Attempt
from pipeline.execution.work import Json, RunContext, Work, output_digests
from pipeline.files.parquet import read_parquet, write_parquet
from pipeline.sets.membership import is_member
from pipeline.sets.uids import as_pairs
from pipeline.stages._parts import parts_in, units_of
from pipeline.stages._queries import exactly, packed_queries, query_identity, query_settings, scanner
from pipeline.stages._scan import NEIGHBOURS_SCHEMA, Seen, healthy_blocks, neighbour_table

SCHEMA = pa.schema([("split", pa.string()), *NEIGHBOURS_SCHEMA])


def plan(run: RunContext) -> Iterator[list[Work]]:
    """List the units, one or more pool parts each, where some split exhausted some query."""
    splits = [name for name, record in run.done.get("surviving", {}).items() if record.facts["exhausted"]]
    if not splits:
        return
    exhausted = {
        name: output_digests([run.done["surviving"][name]], f"neighbours/surviving/{name}/exhausted")
        + output_digests([run.done["split"][name]], f"splits/{name}/uids.npy")
        for name in splits
    }
    shared: Json = {
        "queries": query_identity(run, thresholds=False),
        "splits": exhausted,
        "k": run.plan.neighbours,
        "backend": exactly(run),
    }
    settings = run.settings | query_settings(run) | {"backend": exactly(run)}
    yield units_of(run, "rescan", "pool", shared, settings)


def perform(work: Work, into: Attempt) -> Json:
    """Find, per split, the nearest kept samples of its exhausted queries in the unit's parts."""
    out, queries = Path(work.settings["out"]), packed_queries(work, thresholds=False)
    searches = [_Search(work, out, name, queries) for name in sorted(work.identity["splits"])]
    for samples, vectors in healthy_blocks(parts_in(work), Seen()):
        for search in searches:
            search.scan(samples, vectors)
    relative = f"neighbours/rescan/part-{work.name}.parquet"
    batches = (batch for search in searches for batch in search.found())
    rows = write_parquet(into.file(relative), batches, SCHEMA)
    into.add(relative, rows=rows)
    return {"rows": rows}


class _Search:
    """One split's exhausted queries against its kept samples."""

    def __init__(self, work: Work, out: Path, split: str, queries: Queries) -> None:
        exhausted = read_parquet(out / "neighbours" / "surviving" / split / "exhausted.parquet")
        self.split = split
        self.query = exhausted.column("query").to_numpy()
        self.kept = np.load(out / "splits" / split / "uids.npy", mmap_mode="r", allow_pickle=False)
        starts = np.array([0, len(self.query)], dtype=np.int64)
        chosen = Queries(queries.vectors[self.query], ("exhausted",), starts, None)
        self.search: Scanner = scanner(work, chosen, work.identity["k"])
        self.seen = Seen()

    def scan(self, samples: pa.Table, vectors: np.ndarray) -> None:
        uids = as_pairs(samples.column("uid"))
        still = is_member(self.kept, uids)
        self.seen.samples.append(samples.filter(pa.array(still)))
        self.search.scan(vectors[still], uids[still])

    def found(self) -> Iterator[pa.RecordBatch]:
        table = neighbour_table(self.search, self.seen)
        packed = self.query[table.column("query").to_numpy()]
        table = table.set_column(0, "query", pa.array(packed.astype(np.int32)))
        table = table.add_column(0, "split", pa.array([self.split] * len(table), pa.string()))
        yield from table.cast(SCHEMA).to_batches()
