"""A part's share of the samples that are drawn to say how alike unrelated pairs are. Planned by `unrelated`.

They are the rows whose hash of (uid, seed) lies below a bound, so that they depend on neither parts nor order. Their
vectors alone are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curation.kernels.uid_hash import hashes
from indexes.canonical import canonical
from pipeline import layout
from pipeline.commit import Attempt
from pipeline.execution.work import Json, Work
from pipeline.files.cursor import take_rows
from pipeline.files.parquet import read_batches
from pipeline.files.storage import output_errors
from pipeline.passes.part_pass import pairs
from pipeline.sets.parts import Part, Stored

COLUMNS = ["uid", "row", "image_sha256"]


@dataclass(frozen=True, slots=True)
class Identity:
    """What decides a unit's bytes: the bound of the hashes, and the part's rows and vectors."""

    encoder: str
    bound: int
    seed: int
    part: int
    samples: str
    skip: tuple[int, ...]
    vectors: str


@dataclass(frozen=True, slots=True)
class Settings:
    """The part and its vectors."""

    part: Part
    stored: Stored


def perform(work: Work[Identity, Settings], into: Attempt) -> Json:
    """Take the part's rows below the bound that have a vector, with the sha256 of their files (empty: none)."""
    settings = work.settings
    table = _drawn(work)
    places = table.column("row" if settings.stored.by_row else "place").to_numpy()
    found = canonical(take_rows(settings.stored.files, places))
    table = table.filter(pa.array(found.healthy))
    sha256 = pc.fill_null(table.column("image_sha256"), "").to_pylist()
    arrays: dict[str, NDArray[Any]] = {
        "uids": pairs(table),
        "vectors": found.vectors,
        "sha256": np.array(sha256, dtype="S64"),
    }
    relative = layout.drawn(work.identity.encoder, work.identity.part)
    path = into.file(relative)
    with output_errors(path, sum(array.nbytes for array in arrays.values())), path.open("xb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    into.add(relative)
    return {"rows": len(table)}


def _drawn(work: Work[Identity, Settings]) -> pa.Table:
    """Find the rows below the bound that take part, each with its place among the part's rows."""
    identity, skip = work.identity, np.asarray(work.identity.skip, dtype=np.int64)
    found, at = [], 0
    for batch in read_batches(Path(work.settings.part.samples), COLUMNS):
        table = pa.Table.from_batches([batch])
        chosen = hashes(pairs(table), identity.seed) <= np.uint64(identity.bound)
        chosen &= ~np.isin(table.column("row").to_numpy(), skip)
        places = pa.array(np.arange(at, at + len(table), dtype=np.int64))
        found.append(table.append_column("place", places).filter(pa.array(chosen)))
        at += len(table)
    if not found:
        empty = [pa.array([], kind) for kind in (pa.string(), pa.int64(), pa.string(), pa.int64())]
        return pa.table(empty, names=[*COLUMNS, "place"])
    return pa.concat_tables(found)
