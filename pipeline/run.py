"""Run a plan: stage by stage, do what is not yet done, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from indexes.errors import OutputError
from indexes.search import check_search
from pipeline import layout
from pipeline.commit import Record, find, remove_unowned, retire, sweep
from pipeline.commit.copying import adopt_all, keep
from pipeline.commit.holding import hold_output, open_output
from pipeline.commit.joining import invitation
from pipeline.execution.context import RunContext
from pipeline.execution.executors import open_executor, run_tasks
from pipeline.execution.one_ahead import one_ahead
from pipeline.execution.progress import Progress
from pipeline.execution.work import (
    OUTPUT_VERSION,
    Json,
    Place,
    Work,
    bytes_read,
    content_fingerprint,
    share_of,
    stage_module,
    task_of,
    threads_of,
    together,
)
from pipeline.files.inputs import Ledger
from pipeline.incoming.from_stores import with_brought
from pipeline.incoming.looked_ahead import check_ahead
from pipeline.output import moved_sets, prepare_output
from pipeline.passes.located import groups_of
from pipeline.plan import (
    Plan,
    check_output_apart,
    check_sources,
    check_weights,
    dump_lock,
    resolve,
    with_absolute_paths,
)
from pipeline.stages import performing_names, stage_names, stages_up_to

# DuckDB's share of memory: enough for sorts, which go to disk beyond it.
DATABASE_MEMORY = "1GB"


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How to run; none of it changes a result.

    Attributes:
        workers: Worker processes on this machine; None runs in this process.
        scheduler: Address of a Dask scheduler to use instead.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        threads: Threads per unit; None takes a worker's share of the cores, or what the process may use.
        overwrite: Whether an output of another plan may be removed.
        command: The command that reproduces the run, for the report.
    """

    workers: int | None = None
    scheduler: str | None = None
    device: str = "auto"
    threads: int | None = None
    overwrite: bool = False
    command: str = "nearfar run PLAN"


def open_run(plan: Plan, options: RunOptions) -> RunContext:
    """Put together what planning needs; touches nothing.

    Raises:
        BadInputError: If the device is not there.
        PlanError: If the parts of the plan do not go together.
    """
    if options.scheduler is None:  # the machine that starts remote workers may have another device
        check_search(plan.engine.backend, options.device, plan.engine.options)
    plan = with_brought(plan)
    out = open_output(plan.output).absolute()
    threads = share_of(options.threads, options.workers)
    place = Place(str(out), options.device, threads, DATABASE_MEMORY, plan.engine.memory_bytes)
    resolved = with_absolute_paths(resolve(plan))
    run = RunContext(resolved, out, Ledger(out), place, options.command, moved_sets(resolved, out))
    check_output_apart(run.out, run.sets())
    run.levels()
    return run


def waves(run: RunContext, last: str | None = None) -> Iterator[tuple[str, list[Work[Any, Any]]]]:
    """Plan one wave of units after the other; each wave must be done (`run.done`) before the next is asked for.

    Args:
        run: The run.
        last: The stage to plan last, with those alone that it comes after; None plans all.

    Yields:
        The stage that planned them, and units of one stage.
    """
    run.done |= {stage: {} for stage in performing_names()} if last is None else {}
    for stage in stage_names() if last is None else stages_up_to(last):
        for wave in stage_module(stage).plan(run):
            for of in dict.fromkeys(work.stage for work in wave):
                yield stage, [work for work in wave if work.stage == of]


def execute(plan: Plan, options: RunOptions, progress: Progress) -> RunContext:
    """Do what is not yet done of a plan.

    Args:
        plan: The plan, as loaded.
        options: How to run it.
        progress: Where to say how it goes.

    Returns:
        The context, with the record of every unit.

    Raises:
        NearfarError: If the input is wrong, the output cannot be used, or a unit failed.
    """
    from pipeline.incoming.lists import Hands, with_ingested
    from pipeline.purging.purge import finish_purge

    plan = with_brought(plan)
    check_sources(plan)
    hands = Hands(options.workers, options.scheduler, options.threads)
    fetched = with_ingested(plan, hands, progress)
    if fetched is not plan:
        check_sources(fetched)
    run = open_run(fetched, options)
    check_ahead(run)
    with hold_output(run.out):
        finish_purge(run.out)
        prepare_output(run, options.overwrite)
        sweep(run.out)
        with open_executor(options.workers, options.scheduler, options.device):
            try:
                _do_all(run, options, progress)
            finally:
                run.ledger.save()
        content = dump_lock(run.plan, fingerprints(run)).encode()
        path = run.out / layout.LOCK_FILE
        if path.read_bytes() != content:
            keep(run.out, layout.LOCK_FILE, content)
    return run


def _do_all(run: RunContext, options: RunOptions, progress: Progress) -> None:
    for stage, wave in waves(run):
        began = time.monotonic()
        if do_wave(run, options, progress, wave, stage):
            run.ledger.spent(wave[0].stage, time.monotonic() - began)
    _retire(run)


def _retire(run: RunContext) -> None:
    """Remove what earlier runs made of parts that are gone; embeddings stay, and so does what this plan leaves out.

    What is left then are the part files that records name.
    """
    parts = {name: {number for number, _ in groups_of(run, name)} for name in run.sets()}

    def gone(record: Record) -> bool:
        name, number = record.facts.get("part") or (None, 0)
        return name in parts and number not in parts[name]

    for stage in performing_names():
        retire(run.out, stage, gone, kept="embeddings")
    remove_unowned(run.out, performing_names())


def do_wave(
    run: RunContext, options: RunOptions, progress: Progress, wave: Sequence[Work[Any, Any]], planned_by: str
) -> bool:
    """Do what of a wave is not done; says whether anything was."""
    if not wave:
        return False
    stage = wave[0].stage
    known = run.known(one for work in wave for one in work.inputs)
    contents: dict[int, str | None] = {}
    found = {work.name: standing(run, work, known, contents) for work in wave}
    todo = [work for work in wave if found[work.name] is None]
    if options.scheduler is None:
        check_weights(run.plan, encoders_of(todo))
    rows = sum(work.rows for work in todo)
    run.remember_shards()
    facts = {"planned_by": planned_by, "bytes": bytes_read(todo)}
    with progress.stage(stage, len(todo), rows, done_units=len(wave) - len(todo), facts=facts) as bar:
        groups = together(todo)
        invited = None if options.scheduler is None else invitation(run.out)
        # Machines of a cluster bring their own.
        tasks = (
            task_of(group, known, invited) for group in (one_ahead(groups) if invited is None else groups)
        )
        threads = threads_of(stage, run.place.threads, len(groups))
        for index, entries in run_tasks(tasks, options.workers, options.scheduler, threads):
            run.ledger.note(entries)
            bar.advance(units=len(groups[index]), rows=sum(work.rows for work in groups[index]))
    if invited is not None:
        adopt_all(run.out, (work.unit() for work in todo))
    for work in wave:
        record = found[work.name] or find(run.out, work.unit())
        if record is None:
            raise OutputError(
                f"{stage}/{work.name} was done but its record is gone from {run.out}/commits; "
                "something else is changing this folder: stop it and run again"
            )
        run.finish(record)
    return bool(todo)


def encoders_of(todo: Sequence[Work[Any, Any]]) -> set[str]:
    """Name the encoders that units embed by."""
    return {work.settings.encoder_name for work in todo if getattr(work.settings, "encoder_name", "")}


def standing(
    run: RunContext, work: Work[Any, Any], known: Json, contents: dict[int, str | None]
) -> Record | None:
    """Find a unit's record if it holds: fingerprint, outputs, and what was in its inputs when they were last read.

    `contents` remembers what a list of inputs comes to, for units share their lists.
    """
    record = find(run.out, work.unit())
    if record is None or not work.inputs:
        return record
    key = id(work.inputs)
    if key not in contents:
        every = all(one.key in known for one in work.inputs)
        named = ((one.name, known[one.key]) for one in work.inputs)
        contents[key] = content_fingerprint(named) if every else None
    return record if record.facts["inputs"] == contents[key] else None


def fingerprints(run: RunContext) -> Json:
    """Say what the lock file records beside the plan: the command, and what was in each set's files, by unit."""
    sets: dict[str, dict[str, str]] = {name: {} for name in run.sets()}
    for record in run.records("read"):
        name = record.name.rpartition("-")[0]
        sets[name][record.name] = record.facts["inputs"]
    return {"command": run.command, "version": OUTPUT_VERSION, "sets": sets}
