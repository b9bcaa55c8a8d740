"""Per split and query, which of the nearest pool samples are still there; and which queries lost them all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.commit import Attempt
from pipeline.execution.work import Json, RunContext, Work, output_digests
from pipeline.files.parquet import read_parquet, write_parquet
from pipeline.sets.membership import is_member
from pipeline.sets.uids import as_pairs, from_hex
from pipeline.stages._scan import NEIGHBOURS_SCHEMA
from pipeline.stages.neighbours import segments

EXHAUSTED_SCHEMA = pa.schema([("query", pa.int32())])


def plan(run: RunContext) -> Iterator[list[Work]]:
    """List one unit per split."""
    shared: Json = {"segments": segments(run), "neighbours": output_digests(run.records("neighbours"))}
    works = []
    for name in run.plan.splits:
        kept = output_digests([run.done["split"][name]], f"splits/{name}/uids.npy")
        works.append(Work("surviving", name, shared | {"split": name, "kept": kept}, run.settings))
    yield works


def perform(work: Work, into: Attempt) -> Json:
    """Keep each query's neighbours that the split kept; list the queries that have none left."""
    out, split = Path(work.settings["out"]), work.identity["split"]
    kept = np.load(out / "splits" / split / "uids.npy", mmap_mode="r", allow_pickle=False)
    tables, exhausted = [], []
    for name, start, stop in work.identity["segments"]:
        table = read_parquet(out / "neighbours" / f"{name}.parquet")
        uids = from_hex(table.column("uid"))
        still = is_member(kept, as_pairs(uids))
        query = table.column("query").to_numpy() + start
        columns = [pa.array(query.astype(np.int32)), uids, table.column("key"), table.column("similarity")]
        tables.append(pa.table(columns, schema=NEIGHBOURS_SCHEMA).filter(pa.array(still)))
        exhausted.append(np.setdiff1d(np.arange(start, stop), query[still]))
    lost = np.concatenate(exhausted) if len(kept) else np.array([], dtype=np.int64)
    folder = f"neighbours/surviving/{split}"
    for relative, found in (
        (f"{folder}/neighbours.parquet", pa.concat_tables(tables)),
        (f"{folder}/exhausted.parquet", pa.table([pa.array(lost.astype(np.int32))], schema=EXHAUSTED_SCHEMA)),
    ):
        into.add(relative, rows=write_parquet(into.file(relative), found, found.schema))
    return {"exhausted": len(lost)}
