"""Make again what `verify` found damaged, and all that was computed from it.

A unit that read a rotten byte may have committed a wrong answer with a right sha256. So a damaged file takes with it
every unit of the stages that come after its own; the run that follows makes them again from sound files.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pipeline import layout
from pipeline.commit import Record, retire
from pipeline.commit.run_lock import hold
from pipeline.execution.progress import Progress
from pipeline.plan import load_lock
from pipeline.run import RunOptions, execute
from pipeline.shipping import export, exports_of
from pipeline.stages import performing_names
from pipeline.verify import Verification

# These make a part from the user's files or from that part alone: damage elsewhere does not touch them.
OF_ONE_PART = ("read", "embed")


def repair(out: Path, found: Verification, progress: Progress) -> None:
    """Take back what is damaged and what comes after it, then run the plan of the folder, and export what was.

    Args:
        out: The output folder.
        found: What `verify` said of it.
        progress: Where to say how the run goes.

    Raises:
        OutputError: If another run holds the folder.
    """
    gone, exports = _taken_back(found), exports_of(out)
    with hold(out):
        for stage in performing_names():
            retire(out, stage, gone, kept="embeddings")
    lock = load_lock(out / layout.LOCK_FILE)
    plan = lock.plan.model_copy(update={"output": str(out)})
    execute(plan, RunOptions(command=lock.fingerprints["command"]), progress)
    for request in exports:
        if request.split in plan.splits:
            export(out, request, RunOptions(), progress)


def _taken_back(found: Verification) -> Callable[[Record], bool]:
    """Say which records do not hold any more.

    Where every file is what was committed and only a decision is wrong, it is all that was decided: the rows and
    vectors that it is decided from were hashed.
    """
    damaged = set(found.damaged)
    first = next((at for at, label in enumerate(found.walked) if label in damaged), len(found.walked))
    before = set(found.walked[:first])
    parts = {found.parts[label] for label in damaged if label in found.parts}

    def gone(record: Record) -> bool:
        if record.label in damaged:
            return True
        if record.stage in OF_ONE_PART:
            return _part(record) in parts and record.stage != "read"
        return not damaged or record.label not in before

    return gone


def _part(record: Record) -> tuple[str, int] | None:
    part = record.facts.get("part")
    return None if part is None else (str(part[0]), int(part[1]))
