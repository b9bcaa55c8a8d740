"""`nearfar atlas`: its options, and what it prints."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.command_line.option_types import AsJson, Outputs, Scheduler, Workers


def atlas(
    out: Outputs,
    split: Annotated[str, typer.Argument(help="A split of its plan.", metavar="SPLIT")],
    at_most: Annotated[
        int,
        typer.Option(min=5, max=10_000_000, help="Samples; of more, those with the lowest hashes of uid."),
    ] = 100_000,
    pictures: Annotated[
        bool, typer.Option(help="Small pictures of the samples, where the pool has images.")
    ] = True,
    workers: Workers = None,
    scheduler: Scheduler = None,
    as_json: AsJson = False,
) -> None:
    """Lay a split of a finished run out on a plane, for embedding-atlas."""
    from pipeline.atlases.drawing_up import draw_atlas
    from pipeline.ending.atlas_lines import drawn_by, say_drawn
    from pipeline.ending.last_object import say_last
    from pipeline.execution.progress import Progress
    from pipeline.output import lock_of
    from pipeline.projection.atlas_request import AtlasRequest
    from pipeline.run import RunOptions

    lock_of(out)
    request = AtlasRequest(split, at_most, pictures)
    with Progress(out, as_json=as_json) as progress:
        facts = draw_atlas(out, request, RunOptions(workers=workers, scheduler=scheduler), progress)
    found = drawn_by(out, facts)
    if as_json:
        say_last("atlas", found)
    else:
        say_drawn(found)
