"""Where the members of a split's samples lie in the tars of some parts, in the order in which they will be exported.

Only headers are read. Planned by `nearfar export`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline import layout
from pipeline.commit import Attempt, output_of
from pipeline.execution.context import RunContext, digests, inside, paths
from pipeline.execution.work import Json, Work
from pipeline.files.inputs import Input
from pipeline.files.parquet import open_parquet, parquet_schema, read_batches, read_parquet
from pipeline.files.storage import output_errors
from pipeline.passes.located import groups_of, parts_of
from pipeline.sets.membership import times_of
from pipeline.sets.parts import Part
from pipeline.sets.uids import as_pairs
from pipeline.splits.split_columns import REWRITTEN
from pipeline.webdataset.export_request import ExportRequest
from pipeline.webdataset.sample_order import buckets, orders
from pipeline.webdataset.sample_places import LOCATED, Placed, TarPath, placed

UNIT_ROWS = 262_144
"""Rows of the pool that a unit looks for: few files to merge afterwards, and little lost with one."""
GROUP_ROWS = 2048
"""Rows of a row group: a tar takes neighbouring ones of every file."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What decides a unit's bytes, but for what is in the tars.

    Attributes:
        split: The split.
        seed: Of the order.
        buckets: How many ranges of the order are counted.
        uids: Digest of the split's `uids.npy`.
        rewritten: Digests of the files that hold rewritten captions; empty where no rule rewrites.
        parts: Number, digest and skipped rows of each part, and what the pool calls its tars.
    """

    split: str
    seed: int
    buckets: int
    uids: str
    rewritten: tuple[str, ...]
    parts: tuple[tuple[int, str, tuple[int, ...], tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the split's names, its rewritten captions, each part's rows and its tars lie."""

    uids: str
    rewritten: tuple[str, ...]
    samples: tuple[str, ...]
    tars: tuple[tuple[str, ...], ...]


def works(run: RunContext, request: ExportRequest) -> list[Work[Identity, Settings]]:
    """List one unit for some parts of the pool at a time."""
    return [_work(run, request, parts) for parts in _gathered(parts_of(run, "pool"))]


def _gathered(parts: Sequence[Part]) -> Iterator[list[Part]]:
    held: list[Part] = []
    for part in parts:
        held.append(part)
        if sum(one.rows for one in held) >= UNIT_ROWS:
            yield held
            held = []
    if held:
        yield held


def _work(run: RunContext, request: ExportRequest, parts: list[Part]) -> Work[Identity, Settings]:
    root, shards = run.sets()["pool"].path, dict(groups_of(run, "pool"))
    tars = [[shard.files[0] for shard in shards[part.number]] for part in parts]
    record = run.record("split", request.split)
    names = layout.split(request.split, "uids.npy")
    rewritten = run.once(f"rewritten {request.split}", lambda: _rewritten(run, request.split))
    under = layout.split(request.split, "part-")
    identity = Identity(
        request.split,
        request.seed,
        shard_count(run, request),
        output_of(record, names).sha256,
        tuple(digests([record], under)) if rewritten else (),
        tuple(
            (part.number, part.digest, part.skip, tuple(inside(tar, root) for tar in held))
            for part, held in zip(parts, tars, strict=True)
        ),
    )
    settings = Settings(
        run.path(names),
        rewritten,
        tuple(part.samples for part in parts),
        tuple(tuple(held) for held in tars),
    )
    inputs = tuple(Input(tar, inside(tar, root)) for held in tars for tar in held)
    rows = sum(part.rows for part in parts)
    unit = f"{request.split} {parts[0].number:04d}"
    committed = run.outputs([names, *settings.samples, *settings.rewritten])
    return Work("locate", unit, identity, settings, run.place, inputs, committed, rows=rows)


def _rewritten(run: RunContext, split: str) -> tuple[str, ...]:
    """List the split's files if a rule rewrote captions; a column of the pool's own may be called the same."""
    files = tuple(
        run.path(path) for path in paths([run.record("split", split)], layout.split(split, "part-"))
    )
    has = {name.lower() for name in parquet_schema(files[0]).names}
    own = {name.lower() for name in run.columns("pool")}
    return files if REWRITTEN in has and (REWRITTEN not in own or f"pool_{REWRITTEN}" in has) else ()


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
    relative = layout.located(identity.split, number)
    with open_parquet(into.file(relative), LOCATED) as writing:
        for start in range(0, len(table), GROUP_ROWS):
            writing.add(table.slice(start, GROUP_ROWS))
            writing.flush()
    into.add(relative, rows=len(table))
    relative = layout.located(identity.split, number, "npy")
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
    settings = work.settings
    subset = np.load(settings.uids, mmap_mode="r", allow_pickle=False)
    for (_, _, skip, names), path, tars in zip(
        work.identity.parts, settings.samples, settings.tars, strict=True
    ):
        rows = read_parquet(path, ["uid", "row", "key", "caption", "image_sha256"])
        times = times_of(subset, as_pairs(rows.column("uid")))
        times[np.isin(rows.column("row").to_numpy(), np.asarray(skip, np.int64))] = 0
        if times.any():
            held = [TarPath(tar, name) for tar, name in zip(tars, names, strict=True)]
            keys, sha256 = (rows.column(name).to_pylist() for name in ("key", "image_sha256"))
            found = [one for one in placed(keys, sha256, held) if times[one.row]]
            yield _table(rows, times, found, settings.rewritten, work.identity.seed)


def _table(
    rows: pa.Table, times: NDArray[np.int64], found: list[Placed], rewritten: Sequence[str], seed: int
) -> pa.Table:
    kept = rows.take(pa.array([one.row for one in found], pa.int64()))
    uids = kept.column("uid").to_pylist()
    texts = _new_captions(rewritten, kept.column("uid"))
    own = kept.column("caption").to_pylist()
    captions = [
        texts.get(uid, None if "txt" in one.sample.members else caption)
        for uid, caption, one in zip(uids, own, found, strict=True)
    ]
    spans = [list(one.sample.members.values()) for one in found]
    each = times[[one.row for one in found]]
    place = np.repeat(np.arange(len(found)), each)
    copies = np.arange(len(place)) - np.repeat(np.cumsum(each) - each, each)
    columns = [
        pa.array(uids, pa.string()),
        pa.array([one.tar.name for one in found], pa.string()),
        pa.array([list(one.sample.members) for one in found], pa.list_(pa.string())),
        pa.array([[span.offset for span in held] for held in spans], pa.list_(pa.int64())),
        pa.array([[span.size for span in held] for held in spans], pa.list_(pa.int64())),
        pa.array(captions, pa.string()),
    ]
    repeated = pa.table(columns, names=["uid", "tar", "kinds", "offsets", "sizes", "caption"]).take(
        pa.array(place)
    )
    order = orders(as_pairs(repeated.column("uid")), copies, seed)
    more = {"order": pa.array(order), "copy": pa.array(copies.astype(np.int32))}
    for name, column in more.items():
        repeated = repeated.append_column(name, column)
    return repeated.select(LOCATED.names)


def _new_captions(files: Sequence[str], uids: pa.ChunkedArray) -> dict[str, str]:
    """Look up the rewritten captions of some samples, of those that have one."""
    wanted = pc.unique(uids)
    found: dict[str, str] = {}
    for file in files:
        for batch in read_batches(Path(file), ["uid", REWRITTEN]):
            mine = batch.filter(pc.is_in(batch.column("uid"), value_set=wanted))
            pairs = zip(mine.column("uid").to_pylist(), mine.column(REWRITTEN).to_pylist(), strict=True)
            found |= {uid: text for uid, text in pairs if text is not None}
    return found
