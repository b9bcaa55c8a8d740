"""One tar of an export: the members of its samples, each read once from the pool's tars and written once.

Member bytes are the source's, byte for byte, but for `json`, which gets the uid (`pipeline.webdataset.json_uid`), and
`txt`, which is the split's caption where a rule rewrote it or the source has none. A member's name is the uid, `-1`,
`-2`, … behind it for further copies of a repeated sample, a dot, and the source's suffix in lower case. Planned by
`nearfar export`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline import layout
from pipeline.commit import Attempt, output_of
from pipeline.execution.context import RunContext
from pipeline.execution.work import Json, Work
from pipeline.files.storage import output_errors
from pipeline.sets.uids import as_pairs
from pipeline.stages.surviving import sources_of
from pipeline.webdataset.export_request import ExportRequest, stats_name, tar_name
from pipeline.webdataset.hashed_writing import HashedWriter
from pipeline.webdataset.json_uid import with_uid
from pipeline.webdataset.located_rows import rows_between
from pipeline.webdataset.sample_order import Slice, slices
from pipeline.webdataset.source_tars import SourceTars
from pipeline.webdataset.tar_writing import TarStream
from pipeline.webdataset.unpickled import PICKLES, is_unpickled

# Samples that the disk is asked for ahead of the one that is written; fewer than the tars that are held open.
_AHEAD = 64


@dataclass(frozen=True, slots=True)
class Identity:
    """What decides a tar's bytes.

    Attributes:
        split: The split.
        number: Number of the tar.
        of: What it takes: a `Slice`.
        buckets: Ranges that the order is cut into.
        located: Content of the files that say where members lie, and of the tars that these lie in.
        left_out: Suffixes of members that do not come along.
    """

    split: str
    number: int
    of: Json
    buckets: int
    located: tuple[tuple[str, str], ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """Where those files and the sets lie."""

    located: tuple[str, ...]
    roots: dict[str, str]


def works(run: RunContext, request: ExportRequest) -> list[Work[Identity, Settings]]:
    """List one unit for each tar."""
    records = [record for record in run.records("locate") if record.name.partition(" ")[0] == request.split]
    tables = [next(one.path for one in record.outputs if one.path.endswith(".parquet")) for record in records]
    run.check_sound(one for record in records for one in record.outputs if one.path.endswith(".npy"))
    counts = sum(
        np.load(run.path(path.removesuffix("parquet") + "npy"), allow_pickle=False) for path in tables
    )
    located = tuple(
        (output_of(record, path).sha256, str(record.facts["inputs"]))
        for record, path in zip(records, tables, strict=True)
    )
    roots = {name: run.sets()[name].path for name in sources_of(run, request.split)}
    settings = Settings(tuple(run.path(path) for path in tables), roots)
    committed, held = run.outputs(tables), np.atleast_1d(counts)
    return [
        Work(
            "gather",
            f"{request.split} {number:08d}",
            Identity(request.split, number, asdict(of), len(held), located, tuple(sorted(PICKLES))),
            settings,
            run.place,
            committed=committed,
            rows=of.take,
        )
        for number, of in enumerate(slices(held, request.samples_per_shard))
    ]


def perform(work: Work[Identity, Settings], into: Attempt) -> Json:
    """Write the tar and its counts."""
    identity = work.identity
    rows = _rows(work)
    relative = layout.exported(identity.split, tar_name(identity.number))
    jsons: Counter[str] = Counter()
    left: Counter[str] = Counter()
    path = into.file(relative)
    with output_errors(path), HashedWriter(path) as stream, SourceTars() as tars:
        tar = TarStream(stream)
        for row in _expected(rows.to_pylist(), tars, work.settings.roots):
            copy = f"-{row['copy']}" if row["copy"] else ""
            for kind, content in _members(row, tars, work.settings.roots[row["source"]], (jsons, left)):
                tar.add(f"{row['uid']}{copy}.{kind}", content)
        tar.close()
    into.add(relative, rows=len(rows), sha256=stream.digest())
    relative = layout.exported(identity.split, stats_name(identity.number))
    into.file(relative).write_text(json.dumps({"successes": len(rows)}), encoding="utf-8")
    into.add(relative)
    return {
        "samples": len(rows),
        "jsons": dict(sorted(jsons.items())),
        "left_out": dict(sorted(left.items())),
    }


def _rows(work: Work[Identity, Settings]) -> pa.Table:
    """Read what the tar takes, in its order."""
    of = Slice(**work.identity.of)
    table = rows_between(work.settings.located, of.first, of.last, work.identity.buckets)
    halves = as_pairs(table.column("uid"))
    keys = (table.column("copy").to_numpy(), halves[:, 1], halves[:, 0], table.column("order").to_numpy())
    return table.take(pa.array(np.lexsort(keys)[of.skip : of.skip + of.take]))


def _expected(
    rows: list[dict[str, Any]], tars: SourceTars, roots: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """Give the rows one after the other, those that come soon being on their way from the disk."""
    coming = iter(rows)
    for place in range(-_AHEAD, len(rows)):
        for row in islice(coming, 1):
            spans = list(zip(row["offsets"], row["sizes"], strict=True))
            tars.expect(_tar_path(roots[row["source"]], row["tar"]), spans)
        if place >= 0:
            yield rows[place]


def _members(
    row: dict[str, Any], tars: SourceTars, root: str, counted: tuple[Counter[str], Counter[str]]
) -> Iterator[tuple[str, bytes | memoryview]]:
    """Give a sample's members in the source's order, then those that the source has not.

    Counts how each json came about, and what stays behind, since a loader would unpickle it.
    """
    jsons, left = counted
    spans = list(zip(row["offsets"], row["sizes"], strict=True))
    contents = tars.read(_tar_path(root, row["tar"]), spans)
    held: dict[str, bytes | memoryview] = dict(zip(row["kinds"], contents, strict=True))
    for kind in [kind for kind, content in held.items() if is_unpickled(kind, content)]:
        del held[kind]
        left[kind] += 1
    own = held.get("json")
    held["json"], how = with_uid(None if own is None else bytes(own), row["uid"])
    jsons[how] += 1
    if row["caption"] is not None:
        held["txt"] = row["caption"].encode("utf-8", "surrogatepass")
    yield from held.items()


@cache
def _tar_path(root: str, name: str) -> str:
    # A set that is one tar calls it ".".
    return str(Path(root) / name)
