"""A walk over the records of a finished run, in the order in which its units depend on each other.

Every file that a record names is hashed, and every file of the user's that a unit read. Nothing is done.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexes.errors import NearfarError, OutputError
from pipeline import layout
from pipeline.atlases.drawing_up import atlas_command, atlas_waves, atlases_of
from pipeline.commit import Record, commit_folder, read_record, record_file
from pipeline.commit.on_stores import bring
from pipeline.execution.context import RunContext
from pipeline.execution.work import Work, content_fingerprint
from pipeline.files.digests import sha256_of
from pipeline.files.inputs import content_of, stamp_of
from pipeline.plan import load_lock
from pipeline.run import RunOptions, open_run, waves
from pipeline.shipping import export_waves
from pipeline.stores.at_once import at_once
from pipeline.stores.held_files import held
from pipeline.stores.working_copies import place_of, store_of
from pipeline.verifying.verification import Verification
from pipeline.webdataset.exports_there import command_of, exports_of


@dataclass(frozen=True, slots=True)
class Made:
    """What was made of a split when asked for: what it is called, with its verb, and the command that makes it."""

    split: str
    words: str
    verb: str
    command: str


def replay(out: Path, result: Verification) -> RunContext:
    """Walk through a finished run's records.

    Raises:
        OutputError: If some unit is not done, or its inputs changed.
    """
    lock = load_lock(out / layout.LOCK_FILE)
    plan = lock.plan.model_copy(update={"output": place_of(out)})
    run = open_run(plan, RunOptions(command=lock.fingerprints["command"]))
    try:
        _walk(run, result)
    except NearfarError:
        if (
            not result.problems
        ):  # else a later stage could not be planned from files that are known to be damaged
            raise
    return run


def _walk(run: RunContext, result: Verification) -> None:
    for _, wave in waves(run):
        if not _walk_wave(run, wave, result):
            return  # what comes later cannot be planned without its facts
        result.waves.append(wave)
    exports = exports_of(run.out)
    known = {record_file(request.split) for request in exports}
    for file in sorted((run.out / commit_folder("export")).glob("*.json")):
        if file.name not in known:
            result.problems.append(
                f"{file.relative_to(run.out)} is not what was committed: it does not agree with its own digest; "
                f"run nearfar export {run.out} again for that split, which writes it again"
            )
    for request in exports:
        made = Made(request.split, "shards", "are", command_of(run.out, request))
        _walk_made(run, made, export_waves(run, request), result)
    for wanted in atlases_of(run.out):
        made = Made(wanted.split, "atlas", "is", atlas_command(run.out, wanted))
        _walk_made(run, made, atlas_waves(run, wanted), result)


def _walk_wave(run: RunContext, wave: Iterable[Work[Any, Any]], result: Verification) -> bool:
    for work in wave:
        if is_rotten(run.out, work, result):
            return False
        record = standing(run.out, work, result)
        if record is None:
            raise OutputError(_not_done(work, run.out))
        run.finish(record)
    return True


def _walk_made(
    run: RunContext, what: Made, waves_of: Iterable[Iterable[Work[Any, Any]]], result: Verification
) -> None:
    """Walk through what was made of a split when asked for; of another state of it is a problem, and no damage."""
    if what.split not in run.plan.splits:
        result.problems.append(
            f"the {what.words} of {what.split} {what.verb} of a split that the plan has no more"
        )
        return
    for wave in map(list, waves_of):
        for work in wave:
            if is_rotten(run.out, work, result):
                return
        for work in wave:
            record = standing(run.out, work, result)
            if record is None:
                result.problems.append(f"{_stale(work, what)}: {what.command}")
                return
            run.finish(record)
        # Another machine knows nothing of the inputs yet; the next wave wants to know that they stand still.
        inputs = {one.key: one.path for work in wave for one in work.inputs}
        run.ledger.note([key, *stamp_of(path), result.contents[key]] for key, path in inputs.items())
        result.waves.append(wave)


def _stale(work: Work[Any, Any], what: Made) -> str:
    if work.stage == "card":
        return f"the card of {what.split} says what was so in an earlier run; to write it again"
    pronoun = "them" if what.verb == "are" else "it"
    return f"the {what.words} of {what.split} {what.verb} not of the split as it is now; to write {pronoun} again"


def standing(out: Path, work: Work[Any, Any], result: Verification) -> Record | None:
    """Hash what a unit committed; None if it is not done."""
    record = read_record(out, work.stage, work.name)
    if record is None or record.fingerprint != work.unit().fingerprint:
        return None
    _check_inputs(work, record, result)
    result.walked.append(record.label)
    if work.part is not None:
        result.parts[record.label] = work.part
    if not hashed(out, record, result):
        result.damaged.append(record.label)
    return record


def is_rotten(out: Path, work: Work[Any, Any], result: Verification) -> bool:
    """Say that a record is there and cannot be believed, if so; the unit counts as damaged."""
    path = f"{commit_folder(work.stage)}/{record_file(work.name)}"
    if read_record(out, work.stage, work.name) is not None or not (out / path).is_file():
        return False
    result.problems.append(f"{path} is not what was committed: it does not agree with its own digest")
    result.damaged.append(work.label)
    result.walked.append(work.label)
    if work.part is not None:
        result.parts[work.label] = work.part
    return True


def _not_done(work: Work[Any, Any], out: Path) -> str:
    return f"{work.label} is not done in {out}, or its inputs changed; run the plan again to finish it"


def _check_inputs(work: Work[Any, Any], record: Record, result: Verification) -> None:
    """Read the user's files again, each once."""
    for one in work.inputs:
        if one.key not in result.contents:
            with held([one.path]):
                result.contents[one.key] = content_of(one)
            result.files += 1
    content = content_fingerprint((one.name, result.contents[one.key]) for one in work.inputs)
    if work.inputs and content != record.facts["inputs"]:
        raise OutputError(_not_done(work, Path(work.place.out)))


def hashed(out: Path, record: Record, result: Verification) -> bool:
    """Hash a unit's files, and say of each that is not what was committed."""
    before = len(result.problems)
    if store_of(out) is not None:  # what counts is on the store, whatever the working copy holds
        brought = at_once(lambda output: bring(out, output), record.outputs)
        gone = (output.path for output, there in zip(record.outputs, brought, strict=True) if not there)
        result.problems += [f"{path} is gone from the store" for path in gone]
    for output in record.outputs:
        result.files += 1
        path = out / output.path
        try:
            if not path.is_file():
                result.problems.append(f"{output.path} is gone")
            elif path.stat().st_size != output.bytes or sha256_of(path) != output.sha256:
                result.problems.append(f"{output.path} is not what was committed: its sha256 differs")
        except OSError as error:
            result.problems.append(f"{output.path} cannot be read: {error.strerror}")
    return len(result.problems) == before
