"""`nearfar status`: how far a run or a fetch has come, which process is at work on it, and how long that will take."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path

from indexes.errors import NearfarError
from pipeline import layout
from pipeline.command_line.how_far import AtWork, StageStatus, Status, WaveLeft, time_to_go
from pipeline.command_line.past_units import past_units
from pipeline.commit import records
from pipeline.commit.holding import at_work_on
from pipeline.commit.run_lock import Holder
from pipeline.estimate import look_ahead, stage_ahead
from pipeline.execution.costs import Rates
from pipeline.execution.display.counts import clock_time
from pipeline.execution.work import Json
from pipeline.incoming.lists import STAGES as FETCHING
from pipeline.incoming.lists import totals
from pipeline.output import finished, lock_of
from pipeline.report.drawing.text import count
from pipeline.run import RunOptions, open_run
from pipeline.stages import performing_names, stage_names
from pipeline.stores.working_copies import place_of
from pipeline.webdataset.exports_there import begun_exports, begun_said

# Units, rows and bytes are asked for, and no seconds.
_ANY_RATES = Rates(1.0, None, 1.0)


def status(out: Path, as_json: bool) -> None:
    """Print how far an output folder is."""
    fetched = records(out, "cut") and not (out / layout.LOCK_FILE).is_file()
    found = _of_fetch(out) if fetched else _of_run(out)
    running = at_work_on(out)
    at_work = None if running is None else _at_work(out, found, running)
    begun = begun_exports(out)
    if as_json:
        print(json.dumps(_object(found, at_work) | {"begun_exports": begun}, sort_keys=True))
        return
    _say(found, at_work)
    for split, tars in begun.items():
        print(begun_said(split, tars))


def _of_run(out: Path) -> Status:
    """Plan as a run would, from what is committed; where the inputs are gone, count what is there.

    Raises:
        OutputError: If the folder holds no run.
    """
    lock = lock_of(out)
    ended, name = finished(out) is not None, lock.plan.name
    try:
        options = RunOptions(command=str(lock.fingerprints.get("command", "")))
        run = open_run(lock.plan.model_copy(update={"output": place_of(out)}), options)
        ahead = look_ahead(run, unread=True)
        every = [stage_ahead(run, stage, ahead, _ANY_RATES, 1) for stage in stage_names()]
    except NearfarError as error:
        counted = ((stage, len(records(out, stage))) for stage in performing_names())
        there = (StageStatus(stage, done, None) for stage, done in counted if done)
        return Status(name, ended, tuple(there), None, str(error))
    stages = tuple(StageStatus(one.stage, one.done, one.units, one.exact) for one in every)
    if ahead.at is None:
        return Status(name, ended, stages, None)
    todo = ahead.seen[ahead.at].todo
    return Status(name, False, stages, WaveLeft(ahead.at, len(todo), sum(work.rows for work in todo)))


def _of_fetch(out: Path) -> Status:
    """Count what of a list of URLs has been fetched."""
    cut, fetched, hosts = (records(out, stage) for stage in FETCHING)
    files = past_units(out).planned.get("cut", len(cut))
    pieces, rows = (sum(map(find, (record.facts["rows"] for record in cut))) for find in (len, sum))
    stages = (
        StageStatus("cut", len(cut), max(files, len(cut))),
        StageStatus("fetch", len(fetched), pieces, len(cut) >= files),
        StageStatus("hosts", len(hosts), 1),
    )
    counts = totals(fetched) | {"urls": rows}
    left = (("cut", files - len(cut), 0), ("fetch", pieces - len(fetched), rows - counts["count"]))
    wave = next((WaveLeft(*one) for one in (*left, ("hosts", 1 - len(hosts), 0)) if one[1] > 0), None)
    return Status(Path(place_of(out.absolute())).name, wave is None, stages, wave, counts=counts)


def _at_work(out: Path, found: Status, running: Holder) -> AtWork:
    past = past_units(out, running.pid)
    eta, not_timed = time_to_go(found, past, time.time())
    stage = past.begun.stage if past.begun is not None else found.wave.stage if found.wave else None
    return AtWork(running.pid, running.host, stage, eta, not_timed)


def _object(found: Status, at_work: AtWork | None) -> Json:
    stages = [asdict(one) | {"percent": one.percent} for one in found.stages]
    running = None if at_work is None else asdict(at_work)
    return {
        "plan": found.name,
        "finished": found.finished,
        "running": running,
        "done": found.done,
        "units": found.units,
        "stages": stages,
        "unknown": found.unknown or None,
        "fetched": found.counts,
    }


def _say(found: Status, at_work: AtWork | None) -> None:
    whole = "" if found.units is None else f", {count(found.done)} of {count(found.units)} units done"
    if at_work is not None:
        print(f"{found.name}: running now, as process {at_work.pid} on host {at_work.host}{whole}")
        print(f"  {_to_go(at_work)}")
    elif found.finished:
        print(f"{found.name}: finished")
    else:
        print(f"{found.name}: not finished{whole}; {_next(found)}")
    for one in found.stages:
        print(f"  {one.stage:<12}{_share(one)}")
    if found.unknown:
        print(f"how many there are in all cannot be told: {found.unknown}")
    if found.counts is not None:
        print(
            f"{count(found.counts['successes'])} of {count(found.counts['urls'])} URLs gave an image so far"
        )


def _next(found: Status) -> str:
    again = (
        "give the same list to `nearfar ingest` again" if found.counts is not None else "run the plan again"
    )
    return f"{again} to go on"


def _to_go(at_work: AtWork) -> str:
    at = f"in {at_work.stage}" if at_work.stage else "between two stages"
    time_said = (
        "time to go not known yet"
        if at_work.eta_seconds is None
        else f"{clock_time(at_work.eta_seconds)} to go"
    )
    later = f", and what {', '.join(at_work.not_timed)} will take" if at_work.not_timed else ""
    return f"{at}: {time_said}{later if at_work.eta_seconds is not None else ''}"


def _share(one: StageStatus) -> str:
    if one.units is None:
        return f"{count(one.done):>8} units committed"
    if one.percent is None:
        return f"{'':>9}how many units is not known yet"
    if not one.units:
        return f"{'':>9}nothing to do"
    about = "" if one.exact else "about "
    return f"{count(one.done):>8} of {about}{count(one.units)} units{one.percent:>7.1f} %"
