"""Draw an atlas of a split of a finished run: pick samples of it, lay them out, write them.

Atlases are no part of a run: they are made when asked for, and `verify` walks those that are there.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.afterwards import at_work, check_stands, opened_run, retire_former
from pipeline.commit import records
from pipeline.execution.context import RunContext
from pipeline.execution.executors import open_executor
from pipeline.execution.progress import Progress
from pipeline.execution.work import Json, Work
from pipeline.projection.atlas_request import AtlasRequest
from pipeline.projection.umap_layout import check_installed
from pipeline.run import RunOptions, do_wave
from pipeline.stages.mapping import atlas, pick


def draw_atlas(out: Path, request: AtlasRequest, options: RunOptions, progress: Progress) -> Json:
    """Do what is not yet done of an atlas.

    Args:
        out: The output folder of a finished run.
        request: What to draw.
        options: How; its command is not looked at.
        progress: Where to say how it goes.

    Returns:
        What came of it: split, samples, columns.

    Raises:
        BadInputError: If umap-learn is not installed.
        UnknownNameError: If the plan has no such split.
        OutputError: If there is no run, or it has not finished.
        DataError: If the pool is not there as it was read, or there is nothing to lay out.
    """
    check_installed()
    run = opened_run(out, request.split, options, "draw the atlas")
    with at_work(run, ("atlas",)):
        check_stands(run, ("pool",), "draw the atlas")
        with open_executor(options.workers, options.scheduler, options.device):
            for wave in atlas_waves(run, request):
                # What was picked from parts that are gone is not the split's.
                retire_former(run, request.split, wave[0].stage, wave)
                do_wave(run, options, progress, wave, "atlas")
    return dict(run.record("atlas", request.split).facts)


def atlas_waves(run: RunContext, request: AtlasRequest) -> Iterator[list[Work[Any, Any]]]:
    """Plan an atlas's units in waves; each wave must be done (`run.done`) before the next is asked for."""
    yield list(pick.works(run, request))
    yield list(atlas.works(run, request))


def atlases_of(out: Path) -> list[AtlasRequest]:
    """List the atlases that an output folder holds."""
    names = [field.name for field in dataclasses.fields(AtlasRequest)]
    return [AtlasRequest(**{name: one.facts[name] for name in names}) for one in records(out, "atlas")]


def atlas_command(out: Path, request: AtlasRequest) -> str:
    """Write the command that draws an atlas."""
    options = ["--at-most", str(request.most), *(() if request.pictures else ("--no-pictures",))]
    return shlex.join(["nearfar", "atlas", str(out), request.split, *options])
