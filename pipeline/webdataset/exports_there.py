"""Exports that an output folder holds: whole ones, by their records and commands, and those that were stopped."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from pathlib import Path

from pipeline.commit import records
from pipeline.stores.working_copies import place_of
from pipeline.webdataset.export_request import CSV, ExportRequest


def exports_of(out: Path) -> list[ExportRequest]:
    """List the exports that an output folder holds."""
    names = [field.name for field in dataclasses.fields(ExportRequest)]
    told = ({name: one.facts[name] for name in names if name in one.facts} for one in records(out, "export"))
    return [ExportRequest(**one) for one in told]


def begun_exports(out: Path) -> dict[str, int]:
    """Count the tars of each split whose export was stopped before its end; a trainer would take them for the split.

    There are none where it was stopped after it had located the samples, or some of them.
    """
    ended = {record.name for record in records(out, "export")}
    tars: dict[str, int] = {}
    for stage, made in (("locate", 0), ("gather", 1)):
        for record in records(out, stage):
            split = record.name.partition(" ")[0]
            if split not in ended:
                tars[split] = tars.get(split, 0) + made
    return tars


def command_of(out: Path, request: ExportRequest) -> str:
    """Write the command that makes an export."""
    options = ["--samples-per-shard", str(request.samples_per_shard), "--seed", str(request.seed)]
    options += ["--license", request.license] if request.license else []
    options += ["--csv"] if request.form == CSV else []
    options += ["--cls", request.cls] if request.cls else []
    return shlex.join(["nearfar", "export", str(out), request.split, *options])


def say_replaced(out: Path, request: ExportRequest) -> None:
    """Say that another export of the same split will be removed, and by what command it is made again."""
    for former in exports_of(out):
        if former.split == request.split and former != request:
            print(f"in place of what was made by: {command_of(Path(place_of(out)), former)}", file=sys.stderr)


def begun_said(split: str, tars: int) -> str:
    """Say that the export of a split was stopped before its end."""
    there = "1 of its tars is there" if tars == 1 else f"{tars:,} of its tars are there"
    there = there if tars else "nothing of it is there yet"
    return f"the export of {split} has not finished, and {there}: the same `nearfar export` goes on"
