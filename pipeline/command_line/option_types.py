"""Options that several commands have."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Described(StrEnum):
    """What `nearfar schema` describes."""

    PLAN = "plan"
    ANSWER = "answer"


def _output(text: str) -> Path:
    """Give the folder that an output is read from."""
    from pipeline.commit.holding import open_output

    return open_output(text)


# `Optional`, not `| None`: typer reads these annotations at run time.
Plans = Annotated[Path, typer.Argument(help="The plan, a YAML file.", metavar="PLAN")]
Outputs = Annotated[
    Path,
    typer.Argument(
        help="The output of a run: a folder, or s3://BUCKET/FOLDER.", metavar="OUT", parser=_output
    ),
]
FetchedInto = Annotated[
    Path,
    typer.Argument(
        help="Where the pool is to lie, its tars in shards/: a folder, or s3://BUCKET/FOLDER.",
        metavar="OUT",
        parser=_output,
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Replace a value of the plan: --set pool.path=/data/x."),
]
AuditOverrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="As in a plan: --set pool.duplicates=keep_first."),
]
Workers = Annotated[int | None, typer.Option(min=1, help="Worker processes on this machine.")]
Scheduler = Annotated[str | None, typer.Option(help="Address of a Dask scheduler to run on.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON lines instead of text.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Remove the output of another plan first.")]
