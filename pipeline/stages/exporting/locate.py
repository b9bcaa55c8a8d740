"""Where the members of a split's samples lie in the files of some parts, in the order in which they will be exported.

A part is one of the pool's, or of a further set that the split has samples of: tars, of which only headers are read,
or image files. Planned by `nearfar export`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline import layout
from pipeline.commit import Attempt
from pipeline.execution.context import RunContext, inside, paths
from pipeline.execution.work import Json, Work
from pipeline.files.inputs import Input
from pipeline.files.parquet import open_parquet, read_parquet
from pipeline.files.storage import output_errors
from pipeline.passes.located import groups_of, parts_of
from pipeline.readers import Shard
from pipeline.readers._folders.download import folder_of, is_download
from pipeline.readers.image_folder import images_of
from pipeline.sets.membership import times_of
from pipeline.sets.parts import Part
from pipeline.sets.uids import as_pairs
from pipeline.stages.exporting._captions import caption_columns, other_captions
from pipeline.stages.exporting._class_numbers import class_numbers, columns_there
from pipeline.stages.surviving import kept_files, kept_uids, sources_of
from pipeline.webdataset.export_request import ExportRequest
from pipeline.webdataset.exportable import TARS, check_class_column
from pipeline.webdataset.placing.file_places import placed_files
from pipeline.webdataset.placing.part_places import Places, places_in_tars
from pipeline.webdataset.placing.sample_places import LOCATED, TarPath
from pipeline.webdataset.sample_order import buckets, orders

UNIT_ROWS = 262_144
"""Rows of the pool that a unit looks for: few files to merge afterwards, and little lost with one."""
# Of a part's rows: where as many are kept, its tars will soon be read anyway.
_MANY = 0.1
GROUP_ROWS = 2048
"""Rows of a row group: a tar takes neighbouring ones of every file."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What decides a unit's bytes, but for what is in the tars.

    Attributes:
        split: The split.
        name: The set that the parts are of.
        sets: The sets of the split's samples, in the order of their numbers.
        seed: Of the order.
        buckets: How many ranges of the order are counted.
        uids: Digests of the split's names, and of the sets they are of.
        captions: Columns that may hold a caption in place of a sample's own, the first that does first.
        cls: The column with numbers of classes; empty for none.
        told: Digests of the files with these columns.
        parts: Number, digest and skipped rows of each part, and what the set calls its tars or images.
    """

    split: str
    name: str
    sets: tuple[str, ...]
    seed: int
    buckets: int
    uids: tuple[str, ...]
    captions: tuple[str, ...]
    cls: str
    told: tuple[str, ...]
    parts: tuple[tuple[int, str, tuple[int, ...], tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the split's files with captions, each part's rows and its tars or images lie, and the set's folder.

    `downloads` are the folders that img2dataset wrote as files, of each part.
    """

    told: tuple[str, ...]
    samples: tuple[str, ...]
    files: tuple[tuple[str, ...], ...]
    root: str
    format: str
    downloads: tuple[tuple[str, ...], ...]


def works(run: RunContext, request: ExportRequest) -> list[Work[Identity, Settings]]:
    """List one unit for some parts of a set at a time."""
    sets = sources_of(run, request.split)
    if request.cls:
        check_class_column(request, columns_there(run, request.split))
    return [_work(run, request, name, parts) for name in sets for parts in _gathered(parts_of(run, name))]


def _gathered(parts: Sequence[Part]) -> Iterator[list[Part]]:
    held: list[Part] = []
    for part in parts:
        held.append(part)
        if sum(one.rows for one in held) >= UNIT_ROWS:
            yield held
            held = []
    if held:
        yield held


def _work(run: RunContext, request: ExportRequest, name: str, parts: list[Part]) -> Work[Identity, Settings]:
    root, shards = run.sets()[name].path, dict(groups_of(run, name))
    kind = str(run.found(name).format)
    files = [[file for shard in shards[part.number] for file in files_of(shard, kind)] for part in parts]
    record, names = run.record("split", request.split), kept_files(run, request.split)
    captions = run.once(f"captions {request.split} {name}", lambda: caption_columns(run, request.split, name))
    told = paths([record], layout.split(request.split, "part-")) if captions or request.cls else []
    identity = Identity(
        request.split,
        name,
        sources_of(run, request.split),
        request.seed,
        shard_count(run, request),
        tuple(output.sha256 for output in run.outputs(names)),
        captions,
        request.cls,
        tuple(output.sha256 for output in run.outputs(told)),
        tuple(
            (part.number, part.digest, part.skip, tuple(inside(file, root) for file in held))
            for part, held in zip(parts, files, strict=True)
        ),
    )
    settings = Settings(
        tuple(run.path(path) for path in told),
        tuple(part.samples for part in parts),
        tuple(tuple(held) for held in files),
        root,
        kind,
        tuple(tuple(map(folder_of, filter(is_download, shards[part.number]))) for part in parts),
    )
    inputs = tuple(Input(file, inside(file, root)) for held in files for file in held)
    rows = sum(part.rows for part in parts)
    unit = f"{request.split} {name} {parts[0].number:04d}"
    committed = run.outputs([*names, *settings.samples, *told])
    return Work("locate", unit, identity, settings, run.place, inputs, committed, rows=rows)


def files_of(shard: Shard, kind: str) -> tuple[str, ...]:
    """List the files of a shard that hold its samples: its tar, or its images."""
    return shard.files[:1] if kind == TARS else tuple(images_of(shard))


def entries_of(run: RunContext, split: str) -> int:
    """Count a split's samples, each as often as it repeats."""
    facts = run.record("split", split).facts
    return int(facts.get("entries", facts["kept"]))


def shard_count(run: RunContext, request: ExportRequest) -> int:
    """Count the tars of an export; an empty split has none, but one bucket."""
    return max(1, -(-entries_of(run, request.split) // request.samples_per_shard))


def perform(work: Work[Identity, Settings], into: Attempt) -> Json:
    """Write where the members lie, and how many samples each bucket has."""
    identity = work.identity
    table = pa.concat_tables([LOCATED.empty_table(), *_parts(work)])
    order = table.column("order").to_numpy()
    halves = as_pairs(table.column("uid"))
    table = table.take(
        pa.array(np.lexsort((table.column("copy").to_numpy(), halves[:, 1], halves[:, 0], order)))
    )
    number = identity.parts[0][0]
    relative = layout.located(identity.split, identity.name, number)
    with open_parquet(into.file(relative), LOCATED) as writing:
        for start in range(0, len(table), GROUP_ROWS):
            writing.add(table.slice(start, GROUP_ROWS))
            writing.flush()
    into.add(relative, rows=len(table))
    relative = layout.located(identity.split, identity.name, number, "npy")
    counts = np.bincount(buckets(order, identity.buckets), minlength=identity.buckets)
    with output_errors(into.file(relative), counts.nbytes):
        np.save(into.file(relative), counts)
    into.add(relative)
    size = pc.sum(pc.list_flatten(table.column("sizes"))).as_py() or 0
    return {
        "entries": len(table),
        "bytes": size,
        "members": pc.sum(pc.list_value_length(table["kinds"])).as_py() or 0,
    }


def _parts(work: Work[Identity, Settings]) -> Iterator[pa.Table]:
    settings, identity = work.settings, work.identity
    subset = kept_uids(work.place, identity.split, identity.sets, identity.name)
    for (_, _, skip, names), path, files, downloads in zip(
        identity.parts, settings.samples, settings.files, settings.downloads, strict=True
    ):
        rows = read_parquet(path, ["uid", "row", "key", "caption", "image_sha256"])
        times = times_of(subset, as_pairs(rows.column("uid")))
        times[np.isin(rows.column("row").to_numpy(), np.asarray(skip, np.int64))] = 0
        if times.any():
            keys, sha256 = (rows.column(name).to_pylist() for name in ("key", "image_sha256"))
            if settings.format == TARS:
                held = [TarPath(tar, name) for tar, name in zip(files, names, strict=True)]
                many = bool(np.count_nonzero(times) >= len(times) * _MANY)
                every = places_in_tars(keys, sha256, held, whole=many)
            else:
                every = Places.of(placed_files(keys, settings.root, files, downloads))
            yield _table(rows, times, every, work)


def _table(
    rows: pa.Table, times: NDArray[np.int64], every: Places, work: Work[Identity, Settings]
) -> pa.Table:
    identity = work.identity
    each = times[every.row]
    place = np.repeat(np.arange(len(each)), each)
    copies = np.arange(len(place)) - np.repeat(np.cumsum(each) - each, each)
    found = every.taken(place)
    kept = rows.select(["uid", "caption"]).take(pa.array(found.row))
    more = {
        "order": pa.array(orders(as_pairs(kept.column("uid")), copies, identity.seed)),
        "uid": kept.column("uid"),
        "copy": pa.array(copies.astype(np.int32)),
        "caption": _captions(kept, found, work),
        "cls": class_numbers(work.settings.told, identity.cls, kept.column("uid"))
        if identity.cls
        else pa.nulls(len(place), pa.int64()),
        "source": pa.array([identity.name], pa.string()).take(pa.array(np.zeros(len(place), np.int64))),
    }
    return pa.table(found.columns() | more).select(LOCATED.names)


def _captions(kept: pa.Table, found: Places, work: Work[Identity, Settings]) -> pa.ChunkedArray:
    """Say which text stands in place of a sample's txt: another caption, or its own where it has no txt."""
    own = kept.column("caption")
    lacking = pc.if_else(pa.array(found.have("txt")), None, own)
    if not work.identity.captions:
        return lacking
    uids = kept.column("uid").to_pylist()
    own_of = dict(zip(uids, own.to_pylist(), strict=True))
    texts = other_captions(work.settings.told, work.identity.captions, own_of)
    both = zip(uids, lacking.to_pylist(), strict=True)
    return pa.chunked_array([pa.array([texts.get(uid, caption) for uid, caption in both], pa.string())])
