"""A part's share of the samples of an atlas: what is known of each, its vector, a small picture.

They are the rows of the split whose hash of uid lies below a bound. Planned by `nearfar atlas`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.kernels.uid_hash import hashes
from indexes.canonical import canonical
from indexes.errors import DataError
from pipeline import layout
from pipeline.commit import Attempt
from pipeline.execution.context import RunContext, digests, inside
from pipeline.execution.work import Json, Work
from pipeline.files.cursor import take_rows
from pipeline.files.inputs import Input
from pipeline.files.parquet import parquet_schema, read_batches, write_parquet
from pipeline.measuring import encoder_name
from pipeline.passes.located import (
    committed_of,
    groups_of,
    inputs_of,
    parts_of,
    stored,
    stored_identity,
)
from pipeline.passes.looked_at import unit_name
from pipeline.passes.part_pass import pairs
from pipeline.projection.atlas_request import SEED, AtlasRequest
from pipeline.projection.told_columns import OWN, PICTURE, VECTOR, CarriedColumns, looked_up, told_columns
from pipeline.readers import Shard, open_reader
from pipeline.report.drawing.thumbnails import ROW_EDGE, picture
from pipeline.sets.membership import is_member
from pipeline.sets.parts import Part, Stored
from pipeline.sets.source import Source
from pipeline.stages.learning.sample import bound
from pipeline.stages.surviving import kept_files, kept_uids, sources_of


@dataclass(frozen=True, slots=True)
class Identity:
    """What decides a unit's bytes.

    Attributes:
        split: The split.
        sets: The sets that its samples are of.
        uids: Digests of its names.
        bound: Of the hashes.
        part: Number of the part, digest of its rows, and which take no part.
        vectors: Its vectors.
        measured: The columns that come along, and the digests of the files that have them.
        edge: Longest side of a picture in pixels; 0 for none.
        files: What the pool calls the files with its images.
    """

    split: str
    sets: tuple[str, ...]
    uids: tuple[str, ...]
    bound: int
    part: tuple[int, str, tuple[int, ...]]
    vectors: str
    measured: tuple[tuple[CarriedColumns, str], ...]
    edge: int
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the part, its vectors, its measures and its images lie."""

    part: Part
    stored: Stored
    measures: tuple[str, ...]
    source: Source
    shards: tuple[Shard, ...]


def works(run: RunContext, request: AtlasRequest) -> list[Work[Identity, Settings]]:
    """List one unit for each part of the pool.

    Raises:
        DataError: If the run has no image embeddings of the pool.
    """
    return [_work(run, request, number, shards) for number, shards in groups_of(run, "pool")]


def _work(
    run: RunContext, request: AtlasRequest, number: int, shards: list[Shard]
) -> Work[Identity, Settings]:
    part = {one.number: one for one in parts_of(run, "pool")}[number]
    found, source = _vectors(run, number, shards), run.found("pool")
    shown = tuple(shard for shard in shards if shard.has_images) if request.pictures else ()
    names = kept_files(run, request.split)
    measured = _measured(run, number)
    files = tuple(file for shard in shown for file in shard.files)
    inputs = (*inputs_of(run, [found]), *(Input(file, inside(file, source.path)) for file in files))
    identity = Identity(
        request.split,
        sources_of(run, request.split),
        tuple(output.sha256 for output in run.outputs(names)),
        bound(request.most, kept_of_pool(run, request.split)),
        (number, part.digest, part.skip),
        stored_identity(run, found),
        tuple(
            (each, digests([run.record("measure", unit_name(each.name, number))], path)[0])
            for each, path in measured
        ),
        ROW_EDGE if shown else 0,
        tuple(inside(file, source.path) for file in files),
    )
    measures = tuple(run.path(path) for _, path in measured)
    committed = (*committed_of(run, part, [found]), *run.outputs([*names, *measures]))
    return Work(
        "pick",
        f"{request.split} {number:04d}",
        identity,
        Settings(part, found, measures, source, shown),
        run.place,
        inputs,
        committed,
        ("pool", number),
        rows=part.counted,
    )


def _vectors(run: RunContext, number: int, shards: list[Shard]) -> Stored:
    try:
        return stored(run, "pool", number, shards, encoder_name(run.plan, "pool"), "image")
    except DataError:
        raise DataError(
            "an atlas lays samples out by their image embeddings, and the run has none of the pool; add a measure that "
            "looks at them to the plan, such as measures: {clusters: {k: 16}}, run it, then draw the atlas"
        ) from None


def _measured(run: RunContext, number: int) -> list[tuple[CarriedColumns, str]]:
    """List the columns that come along, with the part's file of each measure that has some."""
    every = [(one, layout.measure(one.kind, one.name, number)) for one in run.instances().values()]
    has = [
        (one, run.once(f"schema of {one.name}", partial(parquet_schema, run.path(path))))
        for one, path in every
    ]
    named = zip(told_columns(has), (path for _, path in every), strict=True)
    return [(each, path) for each, path in named if each.columns]


def kept_of_pool(run: RunContext, split: str) -> int:
    """Count the samples of the pool in a split."""
    facts = run.record("split", split).facts
    held = {one["name"]: one["kept"] for one in facts.get("sources", ())}
    return int(held.get("pool", facts["kept"]))


def perform(work: Work[Identity, Settings], into: Attempt) -> Json:
    """Take the part's rows of the split that lie below the bound and have a vector."""
    identity, settings = work.identity, work.settings
    table = _drawn(work)
    places = table.column("row" if settings.stored.by_row else "place").to_numpy()
    found = canonical(take_rows(settings.stored.files, places))
    lacking = len(table) - int(found.healthy.sum())
    table = table.filter(pa.array(found.healthy)).select(OWN)
    for (measured, _), path in zip(identity.measured, settings.measures, strict=True):
        for name, column in looked_up(table.column("uid"), measured, Path(path)):
            table = table.append_column(name, column)
    table = table.append_column(VECTOR, pa.array([row.tobytes() for row in found.vectors], pa.binary()))
    table = table.append_column(PICTURE, _pictures(work, table.column("key").to_pylist()))
    relative = layout.atlas(identity.split, identity.part[0])
    into.add(relative, rows=write_parquet(into.file(relative), table, table.schema))
    return {"rows": len(table), "without_vector": lacking, "width": settings.stored.files[0].width}


def _drawn(work: Work[Identity, Settings]) -> pa.Table:
    """Find the rows, each with its place among the part's rows."""
    identity, settings = work.identity, work.settings
    subset = kept_uids(work.place, identity.split, identity.sets, "pool")
    skip = np.asarray(identity.part[2], dtype=np.int64)
    found, at = [_drawn_schema(settings.part.samples).empty_table()], 0
    for batch in read_batches(Path(settings.part.samples), [*OWN, "row"]):
        table = pa.Table.from_batches([batch])
        places = pa.array(np.arange(at, at + len(table), dtype=np.int64))
        at += len(table)
        chosen = _wanted(pairs(table), identity.bound, subset) & ~np.isin(
            table.column("row").to_numpy(), skip
        )
        found.append(table.append_column("place", places).filter(pa.array(chosen)))
    return pa.concat_tables(found)


def _wanted(uids: NDArray[np.uint64], limit: int, subset: NDArray[Any]) -> NDArray[np.bool_]:
    low = hashes(uids, SEED) <= np.uint64(limit)
    low[low] = is_member(subset, uids[low])
    return low


def _drawn_schema(path: str) -> pa.Schema:
    has = parquet_schema(path)
    return pa.schema(
        [*(has.field(name) for name in (*OWN, "row")), pa.field("place", pa.int64())]
    ).remove_metadata()


def _pictures(work: Work[Identity, Settings], keys: list[str | None]) -> pa.Array:
    """Make small pictures of the images of some keys; NULL for one that cannot be read."""
    settings, made = work.settings, dict[str, bytes]()
    left = {key for key in keys if key is not None}
    for shard in settings.shards:
        found = open_reader(settings.source).image(settings.source, shard, left) if left else {}
        made |= {
            key: small for key, content in found.items() if (small := picture(content, work.identity.edge))
        }
        left -= found.keys()
    return pa.array([None if key is None else made.get(key) for key in keys], pa.binary())
