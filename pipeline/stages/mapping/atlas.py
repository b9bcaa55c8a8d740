"""An atlas: samples of a split with places on a plane and their nearest samples, as embedding-atlas opens it.

Planned by `nearfar atlas`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.kernels.uid_hash import hashes
from indexes.errors import DataError
from pipeline import layout
from pipeline.commit import Attempt
from pipeline.execution.context import RunContext, digests, paths
from pipeline.execution.work import Json, Work
from pipeline.files.parquet import read_parquet, write_parquet
from pipeline.passes.part_pass import pairs
from pipeline.projection import umap_layout
from pipeline.projection.atlas_request import LEAST_SAMPLES, SEED, AtlasRequest
from pipeline.projection.nearest_samples import nearest_samples
from pipeline.projection.told_columns import PICTURE, VECTOR
from pipeline.report.drawing.thumbnails import kind_of
from pipeline.stages.mapping.pick import kept_of_pool

NEAREST = pa.struct([("ids", pa.list_(pa.int64())), ("distances", pa.list_(pa.float64()))])
"""Rows of the nearest samples, counted from 0, the sample itself first, and 1 - cosine to each."""
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


@dataclass(frozen=True, slots=True)
class Identity:
    """What decides the bytes: the picked samples, how many of them, and whether there are pictures.

    Attributes:
        split: The split.
        most: Samples, at most.
        pictures: Whether pictures were asked for.
        picked: Digests of the files of the picked samples.
        width: Of their vectors.
        of: Samples of the pool that the split keeps.
        without_vector: Those of the picked that have no vector.
    """

    split: str
    most: int
    pictures: bool
    picked: tuple[str, ...]
    width: int
    of: int
    without_vector: int


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the picked samples lie."""

    picked: tuple[str, ...]


def works(run: RunContext, request: AtlasRequest) -> list[Work[Identity, Settings]]:
    """List one unit.

    Raises:
        DataError: If there are too few samples to lay out.
    """
    picked = run.part_records("pick", request.split)
    rows = sum(int(record.facts["rows"]) for record in picked)
    if rows < LEAST_SAMPLES:
        raise DataError(
            f"{rows:,} samples of {request.split} have an image embedding, and an atlas takes at least "
            f"{LEAST_SAMPLES}; name a split with more of them"
        )
    under = layout.folder(layout.atlas(request.split, 0))
    files = paths(picked, under)
    identity = Identity(
        request.split,
        request.most,
        request.pictures,
        tuple(digests(picked, under)),
        int(picked[0].facts["width"]),
        kept_of_pool(run, request.split),
        sum(int(record.facts["without_vector"]) for record in picked),
    )
    settings = Settings(tuple(run.path(path) for path in files))
    return [
        Work("atlas", request.split, identity, settings, run.place, committed=run.outputs(files), rows=rows)
    ]


def perform(work: Work[Identity, Settings], into: Attempt) -> Json:
    """Lay the samples out and write them."""
    identity = work.identity
    table = _lowest(
        pa.concat_tables([read_parquet(Path(path)) for path in work.settings.picked]), identity.most
    )
    vectors = _vectors(table, identity.width)
    rows, distances = nearest_samples(vectors, min(umap_layout.NEIGHBOURS, len(table)))
    places = umap_layout.places(vectors, rows, distances)
    shown = identity.pictures and table.column(PICTURE).null_count < len(table)
    made = {
        "projection_x": pa.array(places[:, 0]),
        "projection_y": pa.array(places[:, 1]),
        "neighbors": _nearest(rows, distances),
        **({"image": _images(table)} if shown else {}),
    }
    table = table.drop_columns([VECTOR, PICTURE])
    for name, column in made.items():
        table = table.append_column(name, column)
    relative = layout.atlas(identity.split)
    into.add(relative, rows=write_parquet(into.file(relative), table, table.schema))
    return {
        "split": identity.split,
        "most": identity.most,
        "pictures": identity.pictures,
        "samples": len(table),
        "of": identity.of,
        "without_vector": identity.without_vector,
        "columns": table.column_names,
    }


def _lowest(table: pa.Table, most: int) -> pa.Table:
    """Take the samples with the lowest hashes of uid, in their order; ties by uid."""
    uids = pairs(table)
    order = np.lexsort((uids[:, 1], uids[:, 0], hashes(uids, SEED)))
    return table.take(pa.array(order[:most])).combine_chunks()


def _vectors(table: pa.Table, width: int) -> NDArray[np.float16]:
    held = b"".join(table.column(VECTOR).to_pylist())
    return np.frombuffer(held, np.float16).reshape(len(table), width)


def _nearest(rows: NDArray[np.int64], distances: NDArray[np.float32]) -> pa.Array:
    ends = pa.array(np.arange(0, rows.size + 1, rows.shape[1], dtype=np.int32))
    ids = pa.ListArray.from_arrays(ends, pa.array(rows.ravel()))
    of = pa.ListArray.from_arrays(ends, pa.array(distances.ravel().astype(np.float64)))
    return pa.StructArray.from_arrays([ids, of], fields=list(NEAREST))


def _images(table: pa.Table) -> pa.Array:
    named = zip(*(table.column(name).to_pylist() for name in (PICTURE, "uid")), strict=True)
    found = [one and {"bytes": one, "path": f"{uid}.{kind_of(one)}"} for one, uid in named]
    return pa.array(found, IMAGE)
