"""Where the committed parts of a set lie, as the stages that read vectors need them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.parquet import read_parquet
from pipeline.samples import Part
from pipeline.vectors import VectorFile
from pipeline.work import Json, RunContext, output_digests


def parts_of(run: RunContext, name: str) -> list[tuple[str, Part, Json]]:
    """List a set's parts: number as text, the part, and its identity (digests of rows and vectors)."""
    repeated = _repeated(run, name)
    found = []
    for shard in run.shards(name):
        record = run.done["read"][f"{name}-{shard.number:04d}"]
        relative = f"samples/{name}/part-{shard.number:04d}.parquet"
        vectors, digests = shard.vectors, [run.digests.sha256(file) for file in shard.files]
        if "encoder" in record.facts:
            embedded = f"embeddings/{name}/img_emb/img_emb_{shard.number:04d}.npy"
            width = record.facts["width"]
            vectors = VectorFile(run.path(embedded), None, record.facts["rows"], width, "<f2")
            digests = output_digests([record], embedded)
        skip = repeated.get(shard.number, ())
        identity: Json = {"rows": output_digests([record], relative), "vectors": digests, "skip": list(skip)}
        found.append((f"{shard.number:04d}", Part(run.path(relative), vectors, skip), identity))
    return found


def _repeated(run: RunContext, name: str) -> dict[int, tuple[int, ...]]:
    record = run.done["catalog"][name]
    if record.facts["duplicates"] == 0:
        return {}
    table = read_parquet(Path(run.path(f"samples/{name}/duplicates.parquet")), columns=["part", "row"])
    parts, rows = table.column("part").to_numpy(), table.column("row").to_numpy()
    return {int(part): tuple(rows[parts == part].tolist()) for part in np.unique(parts)}


def part_size(part: Part) -> tuple[int, int]:
    """Give a part's rows and the bytes of its vectors, for progress and estimates."""
    if part.vectors is None:
        return 0, 0
    return part.vectors.rows, part.vectors.rows * part.vectors.width * np.dtype(part.vectors.dtype).itemsize
