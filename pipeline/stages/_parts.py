"""Where the committed parts of a set lie, and which of them one unit takes, for the stages that read vectors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from pipeline.execution.work import Json, RunContext, Work, output_digests
from pipeline.files.parquet import read_parquet
from pipeline.files.vectors import VectorFile
from pipeline.sets.samples import Part

Item = TypeVar("Item")


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
    # They are listed part by part; a look at all of them for each part takes minutes where there are many of both.
    parts, starts = np.unique(table.column("part").to_numpy(), return_index=True)
    rows = np.split(table.column("row").to_numpy(), starts[1:])
    return {int(part): tuple(own.tolist()) for part, own in zip(parts, rows, strict=True)}


def grouped(items: Iterable[tuple[int, Item]], unit_rows: int) -> Iterator[list[Item]]:
    """Cut a sequence of (rows, item) into runs of at least so many rows; only the last may have fewer.

    Opening a search and learning what is near costs as much for a shard of 10,000 rows as for one of a million, and so
    do the lists of neighbours that a unit leaves; small shards share them.
    """
    run: list[Item] = []
    held = 0
    for rows, item in items:
        run.append(item)
        held += rows
        if held >= unit_rows:
            yield run
            run, held = [], 0
    if run:
        yield run


def units_of(run: RunContext, stage: str, name: str, shared: Json, settings: Json) -> list[Work]:
    """List a stage's units over the vectors of a set, each named by the first of its parts."""
    found = []
    sized = ((part_size(part)[0], (number, part, own)) for number, part, own in parts_of(run, name))
    for members in grouped(sized, run.plan.engine.unit_rows):
        identity = shared | {"parts": [{"number": number} | own for number, _, own in members]}
        where = settings | {"parts": placed(members)}
        sizes = np.array([part_size(part) for _, part, _ in members]).sum(axis=0)
        found.append(Work(stage, members[0][0], identity, where, int(sizes[0]), int(sizes[1])))
    return found


def placed(parts: Iterable[tuple[str, Part, Json]]) -> list[Any]:
    """Describe parts for a unit's settings, as `parts_in` reads them."""
    return [[number, part.to_json()] for number, part, _ in parts]


def parts_in(work: Work) -> list[tuple[str, Part]]:
    """Give the parts of a unit, by number."""
    return [(number, Part.from_json(part)) for number, part in work.settings["parts"]]


def part_size(part: Part) -> tuple[int, int]:
    """Give a part's rows and the bytes of its vectors, for progress and estimates."""
    if part.vectors is None:
        return 0, 0
    return part.vectors.rows, part.vectors.rows * part.vectors.width * np.dtype(part.vectors.dtype).itemsize
