"""What an export says at its end: where its tars are, what did not come along, and how to train on them."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from pipeline import layout
from pipeline.execution.work import Json
from pipeline.webdataset.export_request import CSV, CSV_NAME, tar_name

_READERS = 4
"""Processes that open_clip reads with, unless it is told another number."""
_TRAINED = ("jpg", "png", "jpeg", "webp")
"""How members end in which open_clip's loader looks for a sample's image; its caption is in .txt."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What `nearfar export` says."""

    split: str
    folder: Annotated[str, Field(description="Where its tars are, or its CSV.")]
    samples: Annotated[int, Field(description="Samples in them, repeated ones as often as they count.")]
    shards: Annotated[int, Field(description="Tars.")]
    left_out: Annotated[dict[str, int], Field(description="Members that a loader would unpickle, by kind.")]
    csv: Annotated[
        str | None, Field(description="With --csv the table of image files and captions, else null.")
    ]
    without_caption: Annotated[
        int,
        Field(
            description="Samples without a caption: with --csv they are not in it; in tars they have no .txt, and "
            "open_clip's loader passes over them."
        ),
    ]
    without_image: Annotated[
        int,
        Field(
            description="Samples in tars whose image is of another kind than open_clip's loader looks for."
        ),
    ]
    unnamed: Annotated[
        int,
        Field(description="With --csv those that are not in it, since no UTF-8 spells their file's name."),
    ] = 0


def exported_by(out: Path, facts: Json) -> Exported:
    """Read what came of an export."""
    folder = f"{out}/{layout.exported(facts['split'])}"
    table = f"{folder}/{CSV_NAME}" if facts["form"] == CSV else None
    counts = facts["samples"], facts["shards"], facts["left_out"]
    return Exported(facts["split"], folder, *counts, table, *_without(facts), facts.get("unnamed", 0))


def _without(facts: Json) -> tuple[int, int]:
    """Count samples without a caption, and without an image that a trainer looks for."""
    if facts["form"] == CSV:
        return facts["without_caption"], 0
    there = [sum(facts["kinds"].get(kind, 0) for kind in kinds) for kinds in (("txt",), _TRAINED)]
    without_caption, without_image = (max(0, facts["samples"] - count) for count in there)
    return without_caption, without_image


def say_exported(found: Exported) -> None:
    """Print where the tars or the CSV of a split are, what did not come along, and how to train on them."""
    if found.csv is not None:
        _say_listed(found, found.csv)
        return
    tars = "tar" if found.shards == 1 else "tars"
    print(f"{found.samples:,} samples in {found.shards:,} {tars}: {found.folder}")
    if found.left_out:
        kinds = ", ".join(f"{count:,} .{kind}" for kind, count in found.left_out.items())
        print(f"left out, since a loader would unpickle them, which runs what is in them: {kinds}")
    looked_for = f"an image that ends in .{', .'.join(_TRAINED)}"
    for count, what in ((found.without_caption, "a caption"), (found.without_image, looked_for)):
        if count:
            print(f"open_clip's loader passes over samples without {what}: {count:,} of them")
    print(f"what they are, for others: {found.folder}/README.md")
    if found.shards:
        print(f"to train on them: {trainers_command(found.folder, found.shards)}")


def _say_listed(found: Exported, table: str) -> None:
    print(f"{found.samples:,} samples listed: {table}")
    if found.without_caption:
        print(f"left out, since they have no caption: {found.without_caption:,} samples")
    if found.unnamed:
        print(f"left out, since no UTF-8 spells their file's name: {found.unnamed:,} samples")
    if found.samples:
        told = f"--dataset-type csv --train-data {shlex.quote(table)} --workers {_READERS}"
        print(f"to train on them: python -m open_clip_train.main {told}")


def trainers_command(folder: str, shards: int) -> str:
    """Write the command by which open_clip trains on tars; it wants no more workers than there are tars."""
    span = f"{tar_name(0).removesuffix('.tar')}..{tar_name(shards - 1).removesuffix('.tar')}"
    tars = shlex.quote(f"{folder}/{{{span}}}.tar")
    workers = min(_READERS, shards)
    return f"python -m open_clip_train.main --dataset-type webdataset --train-data {tars} --workers {workers}"
