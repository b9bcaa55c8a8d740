"""The list of an export: of its tars, `sizes.json`, which is there once all of them are; or of image files, as a CSV.

Planned by `nearfar export`.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline import layout
from pipeline.commit import Attempt
from pipeline.execution.context import RunContext, digests
from pipeline.execution.work import Json, Work
from pipeline.files.storage import output_errors
from pipeline.sets.plain_text import plain_text
from pipeline.stages.exporting._ordered import ordered, rows_of
from pipeline.webdataset.csv_lines import HEADER, csv_line
from pipeline.webdataset.export_request import CSV, CSV_NAME, TARS, ExportRequest, tar_name
from pipeline.webdataset.placing.sample_places import named


@dataclass(frozen=True, slots=True)
class Identity:
    """What decides the list.

    Attributes:
        split: The split.
        samples_per_shard: Samples of a tar.
        seed: Of the order.
        license: What is said of the samples' license.
        cls: The column with numbers of classes; empty for none.
        sizes: Samples of each tar.
        tars: Their digests, and those of what lies beside each.
        left_out: How many members of each kind they have not, since a loader would unpickle them.
        csv: What decides the bytes of a CSV; None where there are tars.
    """

    split: str
    samples_per_shard: int
    seed: int
    license: str
    cls: str
    sizes: tuple[int, ...]
    tars: tuple[str, ...]
    left_out: tuple[tuple[str, int], ...]
    csv: Json | None


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the files lie that say where images are, for a CSV; a list of tars is made of the identity."""

    located: tuple[str, ...] = ()


def works(run: RunContext, request: ExportRequest) -> list[Work[Identity, Settings]]:
    """List one unit."""
    if request.form == CSV:
        return [_csv_work(run, request)]
    records = [record for record in run.records("gather") if record.name.rpartition(" ")[0] == request.split]
    left = sum((Counter(record.facts["left_out"]) for record in records), Counter[str]())
    identity = Identity(
        request.split,
        request.samples_per_shard,
        request.seed,
        request.license,
        request.cls,
        tuple(int(record.facts["samples"]) for record in records),
        tuple(digests(records)),
        tuple(sorted(left.items())),
        None,
    )
    return [Work("export", request.split, identity, Settings(), run.place)]


def _csv_work(run: RunContext, request: ExportRequest) -> Work[Identity, Settings]:
    """Plan a CSV: its bytes hold the paths of the images, so where the sets lie decides them too."""
    found = ordered(run, request)
    of = {
        "located": found.content,
        "buckets": found.buckets,
        "slices": [asdict(one) for one in found.slices],
        "roots": found.roots,
    }
    identity = Identity(
        request.split, request.samples_per_shard, request.seed, request.license, request.cls, (), (), (), of
    )
    rows = sum(one.take for one in found.slices)
    settings = Settings(found.files)
    return Work("export", request.split, identity, settings, run.place, committed=found.committed, rows=rows)


def perform(work: Work[Identity, Settings], into: Attempt) -> Json:
    """Write `sizes.json`, samples by the name of the tar, as open_clip reads it; or the CSV."""
    identity = work.identity
    if identity.csv is not None:
        return _write_csv(work, identity.csv, into)
    sizes = {tar_name(number): samples for number, samples in enumerate(identity.sizes)}
    relative = layout.exported(identity.split, "sizes.json")
    into.file(relative).write_text(f"{json.dumps(sizes, indent=1)}\n", encoding="utf-8")
    into.add(relative)
    return _asked(identity) | {
        "form": TARS,
        "shards": len(sizes),
        "samples": sum(identity.sizes),
        "left_out": dict(identity.left_out),
    }


def _write_csv(work: Work[Identity, Settings], of: Json, into: Attempt) -> Json:
    """List image files with their captions, some samples at a time; one that has none, or no name, stays away."""
    relative, written, without, unnamed = layout.exported(work.identity.split, CSV_NAME), 0, 0, 0
    table = into.file(relative)
    with output_errors(table), table.open("x", encoding="utf-8", newline="") as file:
        file.write(HEADER)
        for takes in of["slices"]:
            rows = rows_of(work.settings.located, takes, of["buckets"])
            columns = (rows.column(name).to_pylist() for name in ("source", "tar", "caption"))
            for source, image, caption in zip(*columns, strict=True):
                path = str(Path(of["roots"][source], named(image)))
                if caption is None:
                    without += 1
                elif plain_text(path) != path:
                    unnamed += 1
                else:
                    file.write(csv_line(path, caption))
                    written += 1
    into.add(relative)
    return _asked(work.identity) | {
        "form": CSV,
        "shards": 0,
        "samples": written,
        "left_out": {},
        "without_caption": without,
        "unnamed": unnamed,
    }


def _asked(identity: Identity) -> Json:
    return {
        "split": identity.split,
        "samples_per_shard": identity.samples_per_shard,
        "seed": identity.seed,
        "license": identity.license,
        "cls": identity.cls,
    }
