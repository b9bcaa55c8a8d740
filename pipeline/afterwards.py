"""More made of a finished run: it is opened, what it was made of is seen to be there still, and its output is held."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from indexes.errors import DataError, OutputError, UnknownNameError
from pipeline.commit import Record, find, read_record, retire, sweep
from pipeline.commit.holding import hold_output
from pipeline.execution.context import RunContext
from pipeline.execution.work import Work, content_fingerprint
from pipeline.files.inputs import Input, content_of, stamp_of
from pipeline.incoming.from_stores import with_brought
from pipeline.output import finished, lock_of
from pipeline.run import RunOptions, open_run, waves
from pipeline.stores.held_files import held
from pipeline.stores.working_copies import place_of


def opened_run(out: Path, split: str, options: RunOptions, then: str = "export") -> RunContext:
    """Open a finished run, to make something of one of its splits; `then` says what, for messages.

    Raises:
        UnknownNameError: If the plan has no such split.
        OutputError: If there is no run, or it has not finished.
        DataError: If the pool is not there.
    """
    lock = lock_of(out)
    if split not in lock.plan.splits:
        raise UnknownNameError("split", split, tuple(lock.plan.splits))
    if finished(out) is None:
        raise OutputError(
            f"{place_of(out)} holds a run that has not finished; run its plan again, which goes on where it stopped, "
            f"then {then}"
        )
    plan = with_brought(lock.plan.model_copy(update={"output": place_of(out)}))
    if not Path(plan.pool.path).exists():
        raise DataError(
            f"the pool is not at '{plan.pool.path}' any more; put it back, or run the plan again with "
            f"--set pool.path=…, then {then}"
        )
    return open_run(plan, dataclasses.replace(options, command=lock.fingerprints["command"]))


def check_stands(run: RunContext, sets: Collection[str], then: str = "export") -> None:
    """Find every unit done that a split comes of, and the files of some sets as they were read.

    Raises:
        DataError: If they are not; `then` says what to do after the advice.
    """
    for _, wave in waves(run, "split"):
        for work in wave:
            record = find(run.out, work.unit())
            reads = work.stage == "read" and work.part is not None and work.part[0] in sets
            if record is None or (reads and record.facts["inputs"] != _content(run, work.inputs)):
                raise DataError(f"{_stale(run, work, reads)}, then {then}")
            run.finish(record)
    # What the report says stands in the card. It is of this run: it was written last, before the run had finished.
    stage = unit = "report"
    report = read_record(run.out, stage, unit)
    if report is None:
        raise DataError(f"{_not_done(f'{stage}/{unit}', run.out)}, then {then}")
    run.finish(report)


@contextmanager
def at_work(run: RunContext, stages: Sequence[str]) -> Iterator[None]:
    """Hold a finished run's output, and make something more of it by some stages.

    What was learned of inputs is kept, however it ends; what was made is brought to where a user opens it.
    """
    with hold_output(run.out):
        sweep(run.out)
        try:
            yield
        finally:
            run.ledger.save()
        run.bring(output for stage in stages for record in run.records(stage) for output in record.outputs)


def retire_former(run: RunContext, split: str, stage: str, wave: Sequence[Work[Any, Any]]) -> None:
    """Remove what a stage made of a former state of a split, by the units that are of the present one."""
    units = {work.name: work.unit().fingerprint for work in wave}

    def gone(record: Record) -> bool:
        mine = record.name.partition(" ")[0] == split
        return mine and units.get(record.name) != record.fingerprint

    retire(run.out, stage, gone)


def _stale(run: RunContext, work: Work[Any, Any], reads: bool) -> str:
    if reads:
        name = work.part[0] if work.part else "pool"
        return (
            f"the files of {name} in '{run.sets()[name].path}' are not those that the run read ({work.label}): some "
            "were changed, added or removed. Put them back, or run the plan again"
        )
    return _not_done(work.label, run.out)


def _not_done(label: str, out: Path) -> str:
    return f"{label} is not done in {out}, or its inputs changed; run the plan again"


def _content(run: RunContext, inputs: Iterable[Input]) -> str:
    """Name the content of inputs; one that has been touched since it was read is read again."""
    every = tuple(inputs)
    known = run.known(every)
    for one in every:
        if one.key not in known:
            stamp = stamp_of(one.path)
            with held([one.path]):
                known[one.key] = content_of(one)
            run.ledger.note([[one.key, *stamp, known[one.key]]])
    return content_fingerprint((one.name, known[one.key]) for one in every)
