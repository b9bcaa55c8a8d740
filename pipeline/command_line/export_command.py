"""`nearfar export`: its options, and what it prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pipeline import layout
from pipeline.command_line.option_types import AsJson, Outputs, Scheduler, Workers

if TYPE_CHECKING:
    from pipeline.ending.last_object import Exported


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
    from pipeline.ending.last_object import Exported, say_last
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
    found = Exported(split, folder, facts["samples"], facts["shards"], facts["left_out"])
    if as_json:
        say_last("export", found)
    else:
        _say(found)


def _say(found: Exported) -> None:
    """Say where the tars are, and what did not come along."""
    print(f"{found.samples:,} samples in {found.shards:,} tars: {found.folder}")
    if found.left_out:
        kinds = ", ".join(f"{count:,} .{kind}" for kind, count in found.left_out.items())
        print(f"left out, since a loader would unpickle them, which runs what is in them: {kinds}")
