"""The list of an export's tars, `sizes.json`, which is there once all of them are. Planned by `nearfar export`."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

from pipeline import layout
from pipeline.commit import Attempt
from pipeline.execution.context import RunContext, digests
from pipeline.execution.work import Json, Work
from pipeline.webdataset.export_request import ExportRequest, tar_name


@dataclass(frozen=True, slots=True)
class Identity:
    """What decides the list.

    Attributes:
        split: The split.
        samples_per_shard: Samples of a tar.
        seed: Of the order.
        license: What is said of the samples' license.
        sizes: Samples of each tar.
        tars: Their digests, and those of what lies beside each.
        left_out: How many members of each kind they have not, since a loader would unpickle them.
    """

    split: str
    samples_per_shard: int
    seed: int
    license: str
    sizes: tuple[int, ...]
    tars: tuple[str, ...]
    left_out: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """Nothing: the list is made of the identity."""


def works(run: RunContext, request: ExportRequest) -> list[Work[Identity, Settings]]:
    """List one unit."""
    records = [record for record in run.records("gather") if record.name.rpartition(" ")[0] == request.split]
    left = sum((Counter(record.facts["left_out"]) for record in records), Counter[str]())
    identity = Identity(
        request.split,
        request.samples_per_shard,
        request.seed,
        request.license,
        tuple(int(record.facts["samples"]) for record in records),
        tuple(digests(records)),
        tuple(sorted(left.items())),
    )
    return [Work("export", request.split, identity, Settings(), run.place)]


def perform(work: Work[Identity, Settings], into: Attempt) -> Json:
    """Write `sizes.json`: samples by the name of the tar, as open_clip reads it."""
    identity = work.identity
    sizes = {tar_name(number): samples for number, samples in enumerate(identity.sizes)}
    relative = layout.exported(identity.split, "sizes.json")
    into.file(relative).write_text(f"{json.dumps(sizes, indent=1)}\n", encoding="utf-8")
    into.add(relative)
    return {
        "split": identity.split,
        "samples_per_shard": identity.samples_per_shard,
        "seed": identity.seed,
        "license": identity.license,
        "shards": len(sizes),
        "samples": sum(identity.sizes),
        "left_out": dict(identity.left_out),
    }
