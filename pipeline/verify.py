"""Check a finished run: every byte again, and a sample of its decisions by a plain float64 path.

The path shares no search code with the run: NumPy reads the vector files, and one matrix product in float64 gives the
similarities, which are exact for unit float16 vectors (see `indexes.brute`). Where the plan names an approximate
backend, another query may be nearer than the one that was found, but the similarity to that one must be exact.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from indexes.errors import NearfarError, OutputError
from pipeline.commit import Record, commit_folder, read_record, record_file
from pipeline.execution.context import RunContext
from pipeline.execution.work import Work, content_fingerprint
from pipeline.files.digests import sha256_of
from pipeline.files.inputs import content_of
from pipeline.output import lock_of
from pipeline.recomputing import Recomputed, check_decisions, check_thresholds
from pipeline.run import RunOptions, open_run, waves
from pipeline.shipping import command_of, export_waves, exports_of
from pipeline.stages.split import recheck_splits
from pipeline.webdataset.export_request import ExportRequest


@dataclass(slots=True)
class Verification:
    """What was checked, and each thing that is wrong, in words.

    Attributes:
        files: Committed files, and inputs, that were hashed again.
        decisions: Samples whose scores were computed again.
        thresholds: Queries whose threshold was computed again.
        splits: Splits that were decided again.
        problems: One sentence each; empty if all is well.
        damaged: Units (`stage/name`) of which a file is not what was committed.
        walked: Every unit that was looked at, in the order in which they depend on each other.
        parts: The set and the number of the part that a unit is for, of those that are for one.
    """

    files: int = 0
    decisions: int = 0
    thresholds: int = 0
    splits: int = 0
    problems: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    walked: list[str] = field(default_factory=list)
    parts: dict[str, tuple[str, int]] = field(default_factory=dict)

    def counts(self) -> dict[str, Any]:
        """Say what was checked and what is wrong, for programs."""
        numbers = {name: getattr(self, name) for name in ("files", "decisions", "thresholds", "splits")}
        return numbers | {"problems": self.problems, "damaged": self.damaged}


def verify(out: Path, samples: int = 256, seed: int = 0) -> Verification:
    """Verify a finished run.

    Args:
        out: Its output folder.
        samples: Pool samples to decide again, drawn with `seed`; a quarter as many queries are calibrated again.
        seed: Seed of that draw.

    Raises:
        OutputError: If the folder holds no finished run.
    """
    lock_of(out)
    result = Verification()
    run = replay(out, result)
    if not result.problems:
        rng = np.random.default_rng(seed)
        again = Recomputed()
        check_decisions(run, rng, samples, again)
        check_thresholds(run, rng, max(1, samples // 4), again)
        result.decisions, result.thresholds = again.decisions, again.thresholds
        result.problems += again.problems + recheck_splits(run, seed)
        result.splits = len(run.plan.splits)
    return result


def replay(out: Path, result: Verification) -> RunContext:
    """Walk through a finished run's records, hashing what they name, without doing anything.

    Raises:
        OutputError: If some unit is not done, or its inputs changed.
    """
    lock = lock_of(out)
    plan = lock.plan.model_copy(update={"output": str(out)})
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
    contents: dict[str, str] = {}
    for _, wave in waves(run):
        for work in wave:
            if _is_rotten(run, work, result):
                return  # what comes later cannot be planned without its facts
            if not _stands(run, work, contents, result):
                raise OutputError(_not_done(work, run.out))
    exports = exports_of(run.out)
    known = {record_file(request.split) for request in exports}
    for file in sorted((run.out / commit_folder("export")).glob("*.json")):
        if file.name not in known:
            result.problems.append(
                f"{file.relative_to(run.out)} is not what was committed: it does not agree with its own digest; "
                f"run nearfar export {run.out} again for that split, which writes it again"
            )
    for request in exports:
        _walk_export(run, request, contents, result)


def _walk_export(
    run: RunContext, request: ExportRequest, contents: dict[str, str], result: Verification
) -> None:
    """Walk through what `nearfar export` made; shards of another state of the split are a problem, and no damage."""
    if request.split not in run.plan.splits:
        result.problems.append(f"the shards of {request.split} are of a split that the plan has no more")
        return
    for wave in export_waves(run, request):
        for work in wave:
            if _is_rotten(run, work, result):
                return
        if not all(_stands(run, work, contents, result) for work in wave):
            result.problems.append(
                f"the shards of {request.split} are not of the split as it is now; to write them again: "
                f"{command_of(run.out, request)}"
            )
            return


def _stands(run: RunContext, work: Work[Any, Any], contents: dict[str, str], result: Verification) -> bool:
    """Hash what a unit committed; False if it is not done."""
    record = read_record(run.out, work.stage, work.name)
    if record is None or record.fingerprint != work.unit().fingerprint:
        return False
    _check_inputs(work, record, contents, result)
    run.finish(record)
    result.walked.append(record.label)
    if work.part is not None:
        result.parts[record.label] = work.part
    if not _whole(run.out, record, result):
        result.damaged.append(record.label)
    return True


def _is_rotten(run: RunContext, work: Work[Any, Any], result: Verification) -> bool:
    """Say that a record is there and cannot be believed, if so; the unit counts as damaged."""
    path = f"{commit_folder(work.stage)}/{record_file(work.name)}"
    if read_record(run.out, work.stage, work.name) is not None or not (run.out / path).is_file():
        return False
    result.problems.append(f"{path} is not what was committed: it does not agree with its own digest")
    result.damaged.append(work.label)
    result.walked.append(work.label)
    if work.part is not None:
        result.parts[work.label] = work.part
    return True


def _not_done(work: Work[Any, Any], out: Path) -> str:
    return f"{work.label} is not done in {out}, or its inputs changed; run the plan again to finish it"


def _check_inputs(
    work: Work[Any, Any], record: Record, contents: dict[str, str], result: Verification
) -> None:
    """Read the user's files again, each once."""
    for one in work.inputs:
        if one.key not in contents:
            contents[one.key] = content_of(one)
            result.files += 1
    content = content_fingerprint((one.name, contents[one.key]) for one in work.inputs)
    if work.inputs and content != record.facts["inputs"]:
        raise OutputError(_not_done(work, Path(work.place.out)))


def _whole(out: Path, record: Record, result: Verification) -> bool:
    """Hash a unit's files, and say of each that is not what was committed."""
    before = len(result.problems)
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
