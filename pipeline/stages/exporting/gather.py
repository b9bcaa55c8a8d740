"""One tar of an export: the members of its samples, each read once from the pool's tars and written once.

Beside it lie the number of its samples, and a table of them (`pipeline.dataset_cards.sample_listing`).

Member bytes are the source's, byte for byte, but for `json`, which gets the uid (`pipeline.webdataset.json_uid`), and
`txt`, which is the split's caption where a rule rewrote it or the source has none. A member's name is the uid, `-1`,
`-2`, … behind it for further copies of a repeated sample, a dot, and the source's suffix in lower case. Planned by
`nearfar export`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from pipeline import layout
from pipeline.commit import Attempt
from pipeline.dataset_cards.sample_listing import LISTED, open_listing
from pipeline.execution.context import RunContext
from pipeline.execution.work import Json, Work
from pipeline.files.storage import output_errors
from pipeline.stages.exporting._ordered import ordered, rows_of
from pipeline.webdataset.export_request import ExportRequest, listing_name, stats_name, tar_name
from pipeline.webdataset.hashed_writing import HashedWriter
from pipeline.webdataset.placing.sample_places import named
from pipeline.webdataset.source_tars import SourceTars
from pipeline.webdataset.tar_filling import TarFilling
from pipeline.webdataset.unpickled import PICKLES

SIDE_BY_SIDE = True
"""Most of the time goes into reading, hashing and writing, which let other threads run."""


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
        listed: Columns of the table beside it.
    """

    split: str
    number: int
    of: Json
    buckets: int
    located: tuple[tuple[str, str], ...]
    left_out: tuple[str, ...]
    listed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """Where those files and the sets lie."""

    located: tuple[str, ...]
    roots: dict[str, str]


def works(run: RunContext, request: ExportRequest) -> list[Work[Identity, Settings]]:
    """List one unit for each tar."""
    found = ordered(run, request)
    kinds, listed = tuple(sorted(PICKLES)), tuple(LISTED.names)
    return [
        Work(
            "gather",
            f"{request.split} {number:08d}",
            Identity(request.split, number, asdict(of), found.buckets, found.content, kinds, listed),
            Settings(found.files, found.roots),
            run.place,
            committed=found.committed,
            rows=of.take,
        )
        for number, of in enumerate(found.slices)
    ]


def perform(work: Work[Identity, Settings], into: Attempt) -> Json:
    """Write the tar, the table of its samples and their number."""
    identity, roots = work.identity, work.settings.roots
    rows = rows_of(work.settings.located, identity.of, identity.buckets)
    tars = zip(rows.column("source").to_pylist(), rows.column("tar").to_pylist(), strict=True)
    paths = [_tar_path(roots[source], named(tar)) for source, tar in tars]
    relative, beside = (
        layout.exported(identity.split, name(identity.number)) for name in (tar_name, listing_name)
    )
    path = into.file(relative)
    with (
        output_errors(path),
        HashedWriter(path) as stream,
        SourceTars() as sources,
        open_listing(into.file(beside)) as listing,
    ):
        filling = TarFilling(rows, paths, sources, stream, listing.add)
        filling.write()
    into.add(relative, rows=len(rows), sha256=stream.digest())
    into.add(beside, rows=listing.rows)
    relative = layout.exported(identity.split, stats_name(identity.number))
    into.file(relative).write_text(json.dumps({"successes": len(rows)}), encoding="utf-8")
    into.add(relative)
    return {
        "samples": len(rows),
        "kinds": dict(sorted(listing.kinds.items())),
        "jsons": dict(sorted(filling.jsons.items())),
        "left_out": dict(sorted(filling.left_out.items())),
    }


@cache
def _tar_path(root: str, name: str) -> str:
    # A set that is one tar calls it ".".
    return str(Path(root) / name)
