"""What each command of the command line does and prints."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from curation.audit import exceeded
from curation.audit import fail_above as parse_fail_above
from curation.losses import AllowLost, too_many_lost
from curation.losses import allow_lost as parse_allow_lost
from indexes.errors import BadInputError, OutputError
from pipeline import layout
from pipeline.commit import output_of, records
from pipeline.commit.run_lock import holder
from pipeline.ending import audit_of, lost_of, say, say_exported
from pipeline.estimate import StageEstimate, estimate
from pipeline.execution.context import RunContext
from pipeline.execution.progress import Progress
from pipeline.incoming.lists import if_ingested
from pipeline.output import finished, lock_of
from pipeline.plan import Plan, load_plan
from pipeline.report.answers import nearest_similarities
from pipeline.run import RunOptions, execute
from pipeline.shipping import export
from pipeline.stages import performing_names
from pipeline.webdataset.export_request import ExportRequest


def options(workers: int | None, scheduler: str | None, device: str, overwrite: bool) -> RunOptions:
    """Gather the options that runs share; the command is what the user typed, for the report.

    `nearfar plan` asks what `nearfar run` would do.
    """
    name, *rest = _without_run_options(sys.argv[1:]) or ["run"]
    command = shlex.join(["nearfar", "run" if name == "plan" else name, *rest])
    return RunOptions(
        workers=workers, scheduler=scheduler, device=device, overwrite=overwrite, command=command
    )


def _without_run_options(arguments: list[str]) -> list[str]:
    """Leave out what decides nothing, so that the report's bytes do not depend on how a run was run."""
    kept, skip = [], False
    for argument in arguments:
        name = argument.partition("=")[0]
        if skip or name in ("--json", "--overwrite"):
            skip = False
        elif name in ("--workers", "--scheduler", "--device"):
            skip = "=" not in argument
        else:
            kept.append(argument)
    return kept


def run(path: Path, overrides: Sequence[str], chosen: RunOptions, as_json: bool) -> None:
    """Run a plan, export what it asks for, and say what came of it."""
    plan = load_plan(path, overrides)
    out = Path(plan.output)
    with Progress(out, as_json=as_json) as progress:
        done = execute(plan, chosen, progress)
        wanted = [ExportRequest(split, of.samples_per_shard, of.seed) for split, of in plan.export.items()]
        exported = [export(out, request, chosen, progress) for request in wanted]
    say(done, as_json)
    for facts in exported:
        say_exported(out, facts, as_json)


def plan(path: Path, overrides: Sequence[str], chosen: RunOptions, as_json: bool) -> None:
    """Print what a run would do and cost."""
    asked, waiting = if_ingested(load_plan(path, overrides))
    if waiting:
        _say_waiting(waiting, as_json)
        return
    stages, rates = estimate(asked, chosen)
    if as_json:
        print(
            json.dumps(
                {"stages": [asdict(stage) for stage in stages], "rates": asdict(rates)}, sort_keys=True
            )
        )
        return
    table = Table("stage", "units", "done", "to do", "reads", "writes", "estimate", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for stage in stages:
        table.add_row(*_cells(stage))
    Console(highlight=False).print(table)
    images = f", {rates.images:,.0f} images/s" if rates.images else ""
    print(
        f"measured on one shard: reading {rates.read_bytes / 1e6:,.0f} MB/s{images}, "
        f"search {2 * rates.products / 1e9:,.0f} GFLOP/s"
    )


def _say_waiting(waiting: dict[str, str], as_json: bool) -> None:
    """Say that nothing can be planned of images that are still in the web."""
    if as_json:
        print(json.dumps({"to_fetch": waiting}, sort_keys=True))
        return
    for place, folder in waiting.items():
        print(f"{place}: its images are to be fetched into {folder} first, which `nearfar run` does")
    print("what comes after that is planned when they are there")


def _cells(stage: StageEstimate) -> tuple[str, ...]:
    seconds = "" if stage.seconds is None else f"{stage.seconds:,.1f} s"
    sizes = (f"{size / 1e6:,.1f} MB" if size else "" for size in (stage.reads, stage.writes))
    return (stage.stage, str(stage.units), str(stage.done), str(stage.todo), *sizes, seconds)


def status(out: Path, as_json: bool) -> None:
    """Print how many units of each stage are committed, and which process is at work on them, if one is."""
    name = lock_of(out).plan.name
    counts = {stage: len(records(out, stage)) for stage in performing_names()}
    ended, running = finished(out) is not None, holder(out)
    if as_json:
        at_work = None if running is None else {"pid": running.pid, "host": running.host}
        found = {"plan": name, "committed": counts, "finished": ended, "running": at_work}
        print(json.dumps(found, sort_keys=True))
        return
    said = "finished" if ended else "not finished; run the plan again to go on"
    if running is not None:
        said = f"running now, as process {running.pid} on host {running.host}"
    print(f"{name}: {said}")
    for stage, count in counts.items():
        print(f"  {stage:<12}{count:>8} units committed")


def audit(plan: Plan, spec: str | None, allowed: str | None, chosen: RunOptions, as_json: bool) -> int:
    """Run an audit; 1 if it exceeds what `--fail-above` and `--allow-lost` let pass."""
    if spec is None and allowed is not None:
        raise BadInputError("--allow-lost says which losses --fail-above lets pass; give --fail-above too")
    rule, share = None if spec is None else parse_fail_above(spec), parse_allow_lost(allowed)
    with Progress(Path(plan.output), as_json=as_json) as progress:
        done = execute(plan, chosen, progress)
    say(done, as_json)
    if rule is None:
        return 0
    failures = exceeded(rule, {name: _similarities(done, name) for name in plan.benchmarks})
    for failure in failures:
        print(
            f"too near: {failure.above} of {failure.queries} queries of {failure.benchmark} ({failure.share:.1%}) "
            f"have a pool sample above {rule.similarity:g}",
            file=sys.stderr,
        )
    return 1 if _too_many_lost(done, plan, share) or failures else 0


def _too_many_lost(done: RunContext, plan: Plan, allowed: AllowLost) -> bool:
    """Say which sets lost so much that "nothing found" would mean little."""
    counts = audit_of(done)
    benchmarks = {name: lost_of(counts, f"benchmark {name}") for name in plan.benchmarks}
    found = too_many_lost(allowed, lost_of(counts, "pool"), benchmarks)
    for one in found:
        print(
            f"too many lost: {one.rows.lost:,} of {one.rows.listed:,} rows of {one.name} ({one.rows.share:.2%}) could "
            f"not be compared, more than {one.allowed:g}; mend the set, or let them go with --allow-lost SHARE",
            file=sys.stderr,
        )
    return bool(found)


def _similarities(run: RunContext, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Look up the similarity of each query's nearest pool sample; NaN for a query that has none.

    Raises:
        OutputError: If the neighbours are not what was committed.
    """
    run.check_sound([output_of(run.record("neighbours", name), layout.neighbours(name))])
    queries = int(run.record("index", name).facts["queries"])
    return nearest_similarities(run.out / layout.neighbours(name), queries)


def report(out: Path, as_json: bool) -> None:
    """Write a finished run's report again if it is gone or stale, and say where it is."""
    lock = lock_of(out)
    if finished(out) is None:
        raise OutputError(
            f"{out} holds a run that has not finished; run its plan again, which goes on where it stopped"
        )
    plan = lock.plan.model_copy(update={"output": str(out)})
    with Progress(out, as_json=as_json) as progress:
        execute(plan, RunOptions(command=lock.fingerprints["command"]), progress)
    print(
        json.dumps({"report": f"{out}/{layout.report('report.html')}"})
        if as_json
        else f"report: {out}/{layout.report('report.html')}"
    )
