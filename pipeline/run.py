"""Run a plan: stage by stage, do what is not yet done, and nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from indexes.errors import OutputError
from pipeline.commit import find, fingerprint, retire, sweep
from pipeline.commit.run_lock import hold
from pipeline.execution.executors import open_executor, run_tasks
from pipeline.execution.progress import Progress
from pipeline.execution.work import Json, RunContext, Work, stage_module
from pipeline.files.digests import InputDigests
from pipeline.files.storage import write_atomic
from pipeline.plan import Plan, check_sources, dump_lock, load_lock, measuring_part, resolve
from pipeline.sets.source import Source
from pipeline.stages import REGROUPED, STAGES
from pipeline.stages.split import check_rules

LOCK_FILE = "plan.lock.yaml"
# Files of an output folder that `--overwrite` removes; anything else in the folder is the user's.
OWNED = (
    *(
        "attempts",
        "commits",
        "embeddings",
        "indexes",
        "measures",
        "neighbours",
        "report",
        "samples",
        "splits",
    ),
    *("thresholds", LOCK_FILE, "inputs.json"),
)
# What follows is expensive: rules that cannot work are refused before it.
FIRST_LOOK_AT_VECTORS = "index"
# DuckDB's share of memory: enough for sorts, which go to disk beyond it.
DATABASE_MEMORY = "2GB"


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How to run; none of it changes a result.

    Attributes:
        workers: Worker processes on this machine; None runs in this process.
        scheduler: Address of a Dask scheduler to use instead.
        device: `auto`, `cpu` or `cuda`.
        threads: Threads per unit; None takes what the process may use.
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
    """Put together what planning needs; touches nothing."""
    out = Path(plan.output).absolute()
    settings: Json = {
        "out": str(out),
        "device": options.device,
        "threads": options.threads,
        "memory_limit": DATABASE_MEMORY,
        "engine_memory": plan.engine.memory_bytes,
        "backend": plan.engine.backend,
    }
    return RunContext(with_absolute_paths(resolve(plan)), out, InputDigests(out), settings, options.command)


def with_absolute_paths(plan: Plan) -> Plan:
    """Make the paths of a plan hold from any folder, as its lock file must.

    A name of open_clip stays a name unless there is a file of that name.
    """

    def absolute(source: Source) -> Source:
        given = {key: getattr(source, key) for key in ("path", "metadata", "embeddings")}
        found = {
            key: str(Path(value).absolute())
            for key, value in given.items()
            if value is not None and (key != "metadata" or Path(value).exists())
        }
        return source.model_copy(update=found)

    changed: Json = {
        "pool": absolute(plan.pool),
        "reference": None if plan.reference is None else absolute(plan.reference),
        "benchmarks": {name: absolute(source) for name, source in plan.benchmarks.items()},
    }
    if plan.encoder is not None:
        names = {key: value for key, value in plan.encoder.model_dump().items() if value is not None}
        local = {key: str(Path(value).absolute()) for key, value in names.items() if Path(value).exists()}
        changed["encoder"] = plan.encoder.model_copy(update=local)
    return plan.model_copy(update=changed)


def waves(run: RunContext) -> Iterator[tuple[str, list[Work]]]:
    """Plan one wave of units after the other; each wave must be done (`run.done`) before the next is asked for."""
    for stage in STAGES:
        run.done[stage] = {}
        for wave in stage_module(stage).plan(run):
            yield stage, wave


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
    check_sources(plan)
    run = open_run(plan, options)
    with hold(run.out):
        prepare_output(run, options.overwrite)
        sweep(run.out)
        with run.digests, open_executor(options.workers, options.scheduler, options.device):
            hash_inputs(run, progress)
            for stage, wave in waves(run):
                if stage == FIRST_LOOK_AT_VECTORS:
                    check_rules(run)
                _do(run, options, progress, stage, wave)
        write_atomic(run.out, LOCK_FILE, dump_lock(run.plan, fingerprints(run)).encode())
    return run


def prepare_output(run: RunContext, overwrite: bool) -> None:
    """Refuse an output of another plan, or clear it where the user asked for that.

    Splits may change from run to run: that is what measuring once is for.
    """
    _keep_inputs_apart(run)
    lock = run.out / LOCK_FILE
    if lock.exists():
        before, now = measuring_part(load_lock(lock).plan), measuring_part(run.plan)
        differs = sorted(key for key in now if before.get(key) != now[key])
        if differs and not overwrite:
            raise OutputError(
                f"{run.out} holds the output of another plan: it differs in {', '.join(differs)}. "
                "Name another folder under `output`, or add --overwrite to remove what is there"
            )
        if differs:
            for name in OWNED:
                _remove(run.out / name)
    write_atomic(run.out, LOCK_FILE, dump_lock(run.plan, {"command": run.command}).encode())


def _keep_inputs_apart(run: RunContext) -> None:
    """Refuse an output folder whose own files would be, or lie beside, somebody's input."""
    out = run.out.resolve()
    if out == out.parent:
        raise OutputError(f"the output is {out}, the root of the file system; name a folder of its own")
    for name, source in run.sets().items():
        place = Path(source.path).resolve()
        owned = [folder for folder in OWNED if place.is_relative_to(out / folder)]
        if owned:
            raise OutputError(
                f"{name} ({source.path}) lies in {out / owned[0]}, which this run writes to; name another output folder"
            )


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def hash_inputs(run: RunContext, progress: Progress) -> None:
    """Hash every input file that changed since it was last hashed, several at a time."""
    files = sorted({file for name in run.sets() for shard in run.shards(name) for file in shard.files})
    with (
        progress.stage("hash inputs", total_units=len(files), total_rows=0) as bar,
        ThreadPoolExecutor(4) as pool,
    ):
        for _ in pool.map(run.digests.sha256, files):
            bar.advance()


def _do(run: RunContext, options: RunOptions, progress: Progress, stage: str, wave: list[Work]) -> None:
    if not wave:
        return
    if stage in REGROUPED:
        retire(run.out, stage, [work.unit() for work in wave])
    found = {work.name: find(run.out, work.unit()) for work in wave}
    todo = [work for work in wave if found[work.name] is None]
    rows = sum(work.rows for work in todo)
    with progress.stage(
        stage, total_units=len(todo), total_rows=rows, done_units=len(wave) - len(todo)
    ) as bar:
        tasks = (work.task() for work in todo)
        for index, _ in run_tasks(tasks, options.workers, options.scheduler):
            bar.advance(rows=todo[index].rows)
    for work in wave:
        record = found[work.name] or find(run.out, work.unit())
        if record is None:
            raise OutputError(
                f"{stage}/{work.name} was done but its record is gone from {run.out}/commits; "
                "something else is changing this folder: stop it and run again"
            )
        run.done[stage][work.name] = record


def fingerprints(run: RunContext) -> Json:
    """Give what the lock file records beside the plan: the command, and each shard's files by set and shard."""
    sets = {
        name: {shard.name: fingerprint(*map(run.digests.sha256, shard.files)) for shard in run.shards(name)}
        for name in run.sets()
    }
    return {"command": run.command, "sets": sets}
