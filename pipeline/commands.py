"""What each command of the command line does and prints."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from curation.audit import FailAbove, exceeded
from curation.audit import fail_above as parse_fail_above
from curation.losses import AllowLost, too_many_lost
from curation.losses import allow_lost as parse_allow_lost
from indexes.errors import BadInputError, OutputError
from pipeline import layout
from pipeline.commit import output_of
from pipeline.ending.exported_lines import exported_by
from pipeline.ending.found import RunAnswer, found_by, lost_of
from pipeline.ending.found_lines import say
from pipeline.ending.last_object import say_last
from pipeline.execution.context import RunContext
from pipeline.execution.progress import Progress
from pipeline.output import finished, lock_of
from pipeline.plan import Plan, load_plan
from pipeline.report.answers import nearest_similarities
from pipeline.report.drawing.text import percent
from pipeline.run import RunOptions, execute
from pipeline.shipping import export
from pipeline.stores.working_copies import folder_of, place_of
from pipeline.webdataset.export_request import request_of


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
    out = folder_of(plan.output)
    with Progress(out, as_json=as_json) as progress:
        done = execute(plan, chosen, progress)
        wanted = [request_of(split, asked) for split, asked in plan.export.items()]
        exported = [exported_by(out, export(out, request, chosen, progress)) for request in wanted]
    _say("run", found_by(done, exported), as_json)


def _say(command: str, found: RunAnswer, as_json: bool) -> None:
    if as_json:
        say_last(command, found)
    else:
        say(found)


def audit(plan: Plan, spec: str | None, allowed: str | None, chosen: RunOptions, as_json: bool) -> int:
    """Run an audit; 1 if it exceeds what `--fail-above` and `--allow-lost` let pass."""
    if spec is None and allowed is not None:
        raise BadInputError("--allow-lost says which losses --fail-above lets pass; give --fail-above too")
    rule, share = None if spec is None else parse_fail_above(spec), parse_allow_lost(allowed)
    with Progress(folder_of(plan.output), as_json=as_json) as progress:
        done = execute(plan, chosen, progress)
    found = found_by(done)
    reasons = [] if rule is None else [*_too_near(done, plan, rule), *_too_many_lost(found, plan, share)]
    code = 1 if reasons else 0
    if as_json:
        say_last("audit", found, code, reasons)
    else:
        say(found)
    for reason in reasons:
        print(reason, file=sys.stderr)
    if rule is not None and not reasons and not as_json:
        print(
            f"--fail-above passes: of no benchmark have more than {percent(rule.share)} of the queries a pool sample "
            f"above {rule.similarity:g}"
        )
    return code


def _too_near(run: RunContext, plan: Plan, rule: FailAbove) -> list[str]:
    """Say which benchmarks have more near queries than the rule lets pass."""
    may = percent(rule.share) if rule.share else "none"
    failures = exceeded(rule, {name: _similarities(run, name) for name in plan.benchmarks})
    return [
        f"too near: {failure.above:,} of {failure.queries:,} queries of {failure.benchmark} ({percent(failure.share)}) "
        f"have a pool sample above {rule.similarity:g}; {may} may"
        for failure in failures
    ]


def _too_many_lost(found: RunAnswer, plan: Plan, allowed: AllowLost) -> list[str]:
    """Say which sets lost so much that "nothing found" would mean little."""
    benchmarks = {name: lost_of(found, f"benchmark {name}") for name in plan.benchmarks}
    return [
        f"too many lost: {one.rows.lost:,} of {one.rows.listed:,} rows of {one.name} ({percent(one.rows.share)}) could "
        f"not be compared, more than {one.allowed:g}; mend the set, or let them go with --allow-lost SHARE"
        for one in too_many_lost(allowed, lost_of(found, "pool"), benchmarks)
    ]


def _similarities(run: RunContext, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Look up the similarity of each query's nearest pool sample; NaN for a query that has none.

    Raises:
        OutputError: If the neighbours are not what was committed.
    """
    run.check_sound([output_of(run.record("neighbours", name), layout.neighbours(name))])
    queries = int(run.record("index", name).facts["queries"])
    return nearest_similarities(run.out / layout.neighbours(name), queries)


def report(out: Path, as_json: bool) -> None:
    """Write a finished run's report again if it is gone or stale, and say what it says."""
    lock = lock_of(out)
    if finished(out) is None:
        raise OutputError(
            f"{place_of(out)} holds a run that has not finished; run its plan again, which goes on where it stopped"
        )
    plan = lock.plan.model_copy(update={"output": place_of(out)})
    with Progress(out, as_json=as_json) as progress:
        done = execute(plan, RunOptions(command=lock.fingerprints["command"]), progress)
    _say("report", found_by(done), as_json)
