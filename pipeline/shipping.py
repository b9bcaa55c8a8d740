"""Export a split of a finished run as tars: locate its samples, write the tars, list them.

Exports are no part of a run: they are made when asked for, and `verify` walks those that are there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from indexes.errors import DataError, OutputError
from pipeline import layout
from pipeline.afterwards import at_work, check_stands, opened_run, retire_former
from pipeline.commit import find, records, retire
from pipeline.execution.context import RunContext
from pipeline.execution.executors import open_executor
from pipeline.execution.progress import Progress
from pipeline.execution.work import Json, Work
from pipeline.files.storage import free_bytes
from pipeline.plan import sets_in
from pipeline.run import RunOptions, do_wave
from pipeline.stages.exporting import card, gather, locate
from pipeline.stages.exporting import export as listing
from pipeline.webdataset.export_request import TARS, ExportRequest
from pipeline.webdataset.exportable import check_exportable
from pipeline.webdataset.exports_there import say_replaced

STAGES = ("locate", "gather", "export", "card")
# A header, and the zeros behind a member's last block.
_BESIDE_A_MEMBER = 1024
_NAMED = 3


def export(out: Path, request: ExportRequest, options: RunOptions, progress: Progress) -> Json:
    """Do what is not yet done of an export.

    Args:
        out: The output folder of a finished run.
        request: What to export.
        options: How; its command is not looked at.
        progress: Where to say how it goes.

    Returns:
        What came of it: split, shards, samples, members of each kind, and those that were left out.

    Raises:
        UnknownNameError: If the plan has no such split.
        OutputError: If there is no run, or it has not finished, other files are in the way, or there is no room.
        DataError: If the pool has no tars, or they are not those that were read.
    """
    run = opened_run(out, request.split, options)
    check_exportable(run, request)
    with at_work(run, STAGES):
        check_stands(run, ("pool", *sets_in(run.plan.splits, request.split)))
        say_replaced(run.out, request)
        _refuse_strangers(run, request.split)
        with open_executor(options.workers, options.scheduler, options.device):
            for wave in export_waves(run, request):
                _make_room(run, request, wave)
                do_wave(run, options, progress, wave, "export")
    gathered = (one for one in run.records("gather") if one.name.rpartition(" ")[0] == request.split)
    kinds = sum((Counter(one.facts["kinds"]) for one in gathered), Counter[str]())
    return dict(run.record("export", request.split).facts) | {"kinds": dict(kinds)}


def export_waves(run: RunContext, request: ExportRequest) -> Iterator[list[Work[Any, Any]]]:
    """Plan an export's units in waves; each wave must be done (`run.done`) before the next is asked for."""
    located = locate.works(run, request)
    yield list(located)
    _check_found(run, request, located)
    if request.form == TARS:
        yield list(gather.works(run, request))
    _check_unchanged(run, located)
    yield list(listing.works(run, request))
    if request.form == TARS:
        yield list(card.works(run, request))


def _check_found(run: RunContext, request: ExportRequest, located: list[Work[Any, Any]]) -> None:
    found = sum(int(run.record("locate", work.name).facts["entries"]) for work in located)
    wanted = locate.entries_of(run, request.split)
    if found != wanted:
        raise DataError(
            f"{found:,} of the {wanted:,} samples of {request.split} are in the tars and images of its sets; run the "
            "plan again, then export"
        )


def _check_unchanged(run: RunContext, located: list[Work[Any, Any]]) -> None:
    inputs = [one for work in located for one in work.inputs]
    changed = sorted({one.key for one in inputs} - run.known(inputs).keys())
    if changed:
        raise DataError(
            f"'{changed[0]}' changed while it was exported; stop what is writing to it, run the plan again, then export"
        )


def _refuse_strangers(run: RunContext, split: str) -> None:
    """Refuse a folder with files that no export of this split wrote."""
    folder = run.out / layout.exported(split)
    ours = {one.path for stage in STAGES for record in records(run.out, stage) for one in record.outputs}
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    others = [name for name in names if layout.exported(split, name) not in ours]
    if others:
        more = f" and {len(others) - _NAMED:,} more" if len(others) > _NAMED else ""
        raise OutputError(
            f"{folder} holds files that are not of this export ({', '.join(others[:_NAMED])}{more}); a trainer would "
            "take them for the split. Move them away, then export again"
        )


def _make_room(run: RunContext, request: ExportRequest, wave: list[Work[Any, Any]]) -> None:
    """Remove tars of a former state of the split, and refuse to begin what does not fit on the disk."""
    stage = wave[0].stage if wave else "gather"
    if stage in ("export", "card"):
        return
    retire_former(run, request.split, stage, wave)
    if stage == "gather" and any(find(run.out, work.unit()) is None for work in wave):
        for after in ("export", "card"):
            retire(run.out, after, lambda record: record.name == request.split)
        _refuse_without_room(run, request)


def _refuse_without_room(run: RunContext, request: ExportRequest) -> None:
    located = [one.facts for one in run.records("locate")]
    whole = sum(int(one["bytes"]) + _BESIDE_A_MEMBER * int(one["members"]) for one in located)
    there = [one for one in records(run.out, "gather") if one.name.partition(" ")[0] == request.split]
    needed = whole - sum(output.bytes for record in there for output in record.outputs)
    free = free_bytes(run.out)
    if needed > free:
        raise OutputError(
            f"the shards of {request.split} need about {needed:,} more bytes, and {free:,} are free at {run.out}; free "
            "some space, then export again. Nothing was written"
        )
