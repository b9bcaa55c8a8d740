"""Make again what `verify` found damaged, and all that was computed from it.

A unit that read a rotten byte may have committed a wrong answer with a right sha256. So a damaged file takes with it
every unit of the stages that come after its own; the run that follows makes them again from sound files.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

from pipeline import layout
from pipeline.atlases.drawing_up import atlases_of, draw_atlas
from pipeline.commit import Record, retire
from pipeline.commit.holding import hold_output
from pipeline.execution.progress import Progress
from pipeline.incoming.lists import STAGES
from pipeline.plan import load_lock
from pipeline.run import RunOptions, execute
from pipeline.shipping import export
from pipeline.stages import performing_names
from pipeline.stores.working_copies import place_of
from pipeline.verifying.fetched_pool import is_fetched
from pipeline.verifying.verification import Verification
from pipeline.webdataset.exports_there import exports_of

# These make a part from the user's files or from that part alone: damage elsewhere does not touch them.
OF_ONE_PART = ("read", "embed")


def repair(out: Path, found: Verification, progress: Progress) -> None:
    """Take back what is damaged and what comes after it, then run the plan of the folder, and export what was.

    Args:
        out: The output folder.
        found: What `verify` said of it.
        progress: Where to say how the run goes.

    Of a fetched pool, what is wrong is taken back; the list, and how it was asked for, is known to the user alone.

    Raises:
        OutputError: If another run holds the folder.
    """
    if is_fetched(out):
        _take_back_fetched(out, found)
        return
    gone, exports, atlases = _taken_back(found), exports_of(out), atlases_of(out)
    with hold_output(out):
        for stage in performing_names():
            retire(out, stage, gone, kept="embeddings")
    lock = load_lock(out / layout.LOCK_FILE)
    plan = lock.plan.model_copy(update={"output": place_of(out)})
    execute(plan, RunOptions(command=lock.fingerprints["command"]), progress)
    for request in exports:
        if request.split in plan.splits:
            export(out, request, RunOptions(), progress)
    for wanted in atlases:
        if wanted.split in plan.splits:
            draw_atlas(out, wanted, RunOptions(), progress)


def _take_back_fetched(out: Path, found: Verification) -> None:
    """Remove what is wrong, the counts of hosts, and the pieces of the list, which are cut again in no time."""
    bad = {*found.damaged, *found.wrong}
    with hold_output(out):
        for stage in STAGES:
            retire(out, stage, partial(_is_bad, bad, found.doubtful or stage != "fetch"))


def _is_bad(bad: Collection[str], every: bool, record: Record) -> bool:
    return every or record.label in bad


def _taken_back(found: Verification) -> Callable[[Record], bool]:
    """Say which records do not hold any more.

    Where something is wrong that names no unit, it is all that was decided: the rows and vectors that it is decided
    from were hashed.
    """
    damaged = {*found.damaged, *found.wrong}
    everything = found.doubtful or not damaged
    first = next((at for at, label in enumerate(found.walked) if label in damaged), len(found.walked))
    before = set(found.walked[:first])
    parts = {found.parts[label] for label in damaged if label in found.parts}

    def gone(record: Record) -> bool:
        if record.label in damaged:
            return True
        if record.stage in OF_ONE_PART:
            return _part(record) in parts and record.stage != "read"
        return everything or record.label not in before

    return gone


def _part(record: Record) -> tuple[str, int] | None:
    part = record.facts.get("part")
    return None if part is None else (str(part[0]), int(part[1]))
