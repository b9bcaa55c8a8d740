"""`nearfar export`: its options, and what it prints."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from pipeline import layout
from pipeline.command_line.option_types import AsJson, Outputs, Scheduler, Workers


def export(
    out: Outputs,
    split: Annotated[str, typer.Argument(help="A split of its plan.", metavar="SPLIT")],
    samples_per_shard: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="Samples of a tar; the last may have fewer.")
    ] = 10_000,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of their order.")] = 0,
    workers: Workers = None,
    scheduler: Scheduler = None,
    as_json: AsJson = False,
) -> None:
    """Write a split of a finished run as webdataset tars, for training."""
    from pipeline.execution.progress import Progress
    from pipeline.output import lock_of
    from pipeline.run import RunOptions
    from pipeline.shipping import export as export_split
    from pipeline.webdataset.export_request import ExportRequest

    lock_of(out)
    request = ExportRequest(split, samples_per_shard, seed)
    with Progress(out, as_json=as_json) as progress:
        facts = export_split(out, request, RunOptions(workers=workers, scheduler=scheduler), progress)
    folder = f"{out}/{layout.exported(split)}"
    if as_json:
        print(json.dumps({"event": "exported", "folder": folder} | facts, sort_keys=True))
    else:
        _say(folder, facts)


def _say(folder: str, facts: dict[str, Any]) -> None:
    """Say where the tars are, and what did not come along."""
    print(f"{facts['samples']:,} samples in {facts['shards']:,} tars: {folder}")
    if facts["left_out"]:
        kinds = ", ".join(f"{count:,} .{kind}" for kind, count in facts["left_out"].items())
        print(f"left out, since a loader would unpickle them, which runs what is in them: {kinds}")
