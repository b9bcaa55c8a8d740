"""`nearfar export`: its options, and what it prints."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.command_line.option_types import AsJson, Outputs, Scheduler, Workers


def export(
    out: Outputs,
    split: Annotated[str, typer.Argument(help="A split of its plan.", metavar="SPLIT")],
    samples_per_shard: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="Samples of a tar; the last may have fewer.")
    ] = 10_000,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of their order.")] = 0,
    samples_license: Annotated[
        str,
        typer.Option(
            "--license",
            metavar="LICENSE",
            help="License of the samples, for the dataset card: an identifier, such as cc-by-4.0, or a link.",
        ),
    ] = "",
    as_csv: Annotated[
        bool,
        typer.Option(
            "--csv", help="List image files and captions for open_clip's reader of CSV, in place of tars."
        ),
    ] = False,
    cls: Annotated[
        str,
        typer.Option(
            metavar="COLUMN",
            help="Write the number that this column of the split has for a sample as its .cls, such as classes.single.",
        ),
    ] = "",
    workers: Workers = None,
    scheduler: Scheduler = None,
    as_json: AsJson = False,
) -> None:
    """Write a split of a finished run for training.

    As webdataset tars, or as a CSV of its image files.
    """
    from pipeline.documents.licenses import checked_license
    from pipeline.ending.exported_lines import exported_by, say_exported
    from pipeline.execution.progress import Progress
    from pipeline.output import lock_of
    from pipeline.plan import PlannedExport
    from pipeline.run import RunOptions
    from pipeline.shipping import export as export_split
    from pipeline.webdataset.export_request import request_of

    lock_of(out)
    asked = PlannedExport(
        samples_per_shard=samples_per_shard,
        seed=seed,
        license=checked_license(samples_license),
        csv=as_csv,
        cls=cls,
    )
    request = request_of(split, asked, planned=False)
    with Progress(out, as_json=as_json) as progress:
        facts = export_split(out, request, RunOptions(workers=workers, scheduler=scheduler), progress)
    found = exported_by(out, facts)
    if as_json:
        from pipeline.ending.last_object import say_last

        say_last("export", found)
    else:
        say_exported(found)
