"""Benchmark vectors as indexes: a FAISS file that any FAISS user can open, and the images it is made of."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from indexes.errors import DataError
from pipeline.commit import Attempt
from pipeline.execution.work import Json, RunContext, Work
from pipeline.files.index_file import Description, save_index
from pipeline.files.parquet import write_parquet
from pipeline.sets.uids import as_hex
from pipeline.stages._parts import parts_in, parts_of, placed
from pipeline.stages._scan import Parts, Seen, healthy_blocks
from pipeline.stages.catalog import check_encoders, encoder_of

COLUMNS = ["uid", "key", "label", "caption", "image_sha256"]


def plan(run: RunContext) -> Iterator[list[Work]]:
    """List one unit per benchmark."""
    check_encoders(run)
    works = []
    for name, source in run.plan.benchmarks.items():
        parts = parts_of(run, name)
        identity: Json = {
            "benchmark": name,
            "parts": [part_identity for _, _, part_identity in parts],
            "encoder": encoder_of(run, name),
        }
        settings = run.settings | {"parts": placed(parts), "where": source.path}
        rows = run.done["catalog"][name].facts["rows"]
        works.append(Work("index", name, identity, settings, rows=rows))
    yield works


def perform(work: Work, into: Attempt) -> Json:
    """Gather a benchmark's healthy vectors, in the order of its rows, and save them with their images' rows."""
    name = work.identity["benchmark"]
    seen = Seen()
    vectors, images = _gather(parts_in(work), seen)
    if not len(vectors):
        raise DataError(
            f"benchmark '{name}' ({work.settings['where']}) has no usable vector; a comparison with nothing would call "
            "every sample far, so the run stops: check its files"
        )
    folder, lost = f"indexes/{name}", seen.lost()
    save_index(vectors, into.file(f"{folder}/index.faiss"))
    into.add(f"{folder}/index.faiss", rows=len(vectors))
    for relative, table in ((f"{folder}/images.parquet", images), (f"{folder}/quarantined.parquet", lost)):
        into.add(relative, rows=write_parquet(into.file(relative), table, table.schema))
    described = Description(name, len(vectors), vectors.shape[1], work.identity["encoder"])
    into.file(f"{folder}/index.json").write_text(described.dumps())
    into.add(f"{folder}/index.json")
    facts = seen.facts()
    return {
        "queries": len(vectors),
        "width": vectors.shape[1],
        "quarantined": facts["quarantined"],
        "normalised": facts["normalised"],
    }


def _gather(parts: Parts, seen: Seen) -> tuple[NDArray[np.float16], pa.Table]:
    vectors = [block for _, block in healthy_blocks(parts, seen, COLUMNS)]
    if not vectors:
        raise DataError("a benchmark has no vectors at all; check its files")
    table = pa.concat_tables(seen.samples)
    table = table.set_column(0, "uid", as_hex(table.column("uid")))
    table = table.add_column(0, "query", pa.array(np.arange(len(table), dtype=np.int32)))
    return np.concatenate(vectors), table
