"""`nearfar status`: totals, percentages, the process at work and how long it will take; of runs and of fetches."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from last_objects import stopping_in
from small_sets import write_plan
from whole_runs import Run

import pipeline.run as running
from pipeline.command_line.how_far import StageStatus, Status, WaveLeft, time_to_go
from pipeline.command_line.past_units import Begun, Past, past_units
from pipeline.commit.run_lock import hold


def told(cli: Run, out: Path) -> dict[str, Any]:
    code, output, errors = cli("status", str(out), "--json")
    assert code == 0, errors
    found: dict[str, Any] = json.loads(output)
    return found


def half_done(sets: Path, cli: Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    with monkeypatch.context() as patch:
        patch.setattr(running, "do_wave", stopping_in("measure", 6))
        assert cli("run", str(write_plan(sets)))[0] == 2
    return sets / "out"


def test_of_a_run_that_stopped(sets: Path, cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    out = half_done(sets, cli, monkeypatch)
    found = told(cli, out)
    stages = {stage["stage"]: stage for stage in found["stages"]}
    assert not found["finished"]
    assert (stages["read"]["percent"], stages["split"]["percent"]) == (100.0, 0.0)
    assert (stages["measure"]["done"], stages["measure"]["units"]) == (6, 9)
    assert stages["measure"]["percent"] == pytest.approx(66.7, abs=0.05)
    lines = cli("status", str(out))[1].splitlines()
    assert lines[0] == (
        f"small: not finished, {found['done']} of {found['units']} units done; run the plan again to go on"
    )
    assert "  measure            6 of 9 units   66.7 %" in lines
    assert "  rescan               how many units is not known yet" in lines
    assert "  embed                nothing to do" in lines
    assert cli("run", str(sets / "plan.yaml"))[0] == 0
    after = told(cli, out)
    units = {stage["stage"]: stage["units"] for stage in after["stages"]}
    assert after["units"] == found["units"] + units["rescan"], "which was not certain before"
    assert (after["plan"], after["finished"], after["running"]) == ("small", True, None)
    assert all(stage["done"] == stage["units"] and stage["percent"] == 100.0 for stage in after["stages"])
    records = sum(len(list(folder.glob("*.json"))) for folder in (out / "commits").iterdir())
    assert after["units"] == after["done"] == records
    assert cli("status", str(out))[1].splitlines()[0] == "small: finished"
    assert cli("status", str(sets))[0] == 2


def test_of_a_run_at_work(sets: Path, cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It began 9 units of 1,080 rows 60 seconds ago, of which 6 units of 720 rows are done: 30 seconds to go."""
    out = half_done(sets, cli, monkeypatch)
    began = {"event": "begin", "planned_by": "measure", "stage": "measure", "units": 0, "total_units": 9}
    began |= {"rows": 0, "total_rows": 9 * 120, "pid": os.getpid()}
    began |= {"time": (datetime.now(UTC) - timedelta(seconds=60)).isoformat()}
    with (out / "log.jsonl").open("a") as log:
        log.write(json.dumps(began) + "\n")
    with hold(out) as mine:
        at_work = told(cli, out)["running"]
        said = cli("status", str(out))[1]
    assert (at_work["pid"], at_work["host"], at_work["stage"]) == (mine.pid, mine.host, "measure")
    assert at_work["eta_seconds"] == pytest.approx(30, rel=0.2)
    assert {"split", "report"} <= set(at_work["not_timed"])
    assert f"small: running now, as process {mine.pid} on host {mine.host}" in said
    assert "in measure: 0:3" in said
    assert " to go, and what " in said


def test_where_the_inputs_are_gone(sets: Path, cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    out = half_done(sets, cli, monkeypatch)
    (sets / "pool").rename(sets / "elsewhere")
    found = told(cli, out)
    assert (found["units"], found["finished"]) == (None, False)
    assert str(sets / "pool") in found["unknown"]
    assert {stage["stage"]: stage["done"] for stage in found["stages"]}["measure"] == 6
    assert "how many there are in all cannot be told: " in cli("status", str(out))[1]


def status_of(**left: int) -> Status:
    stages = tuple(StageStatus(stage, 0, units) for stage, units in left.items())
    return Status("x", False, stages, WaveLeft("read", 4, 400))


@pytest.mark.parametrize(
    ("begun", "took", "to_go"),
    [
        (Begun("read", 100.0, 8, 1000), {}, (None, ("read", "split"))),  # nothing is done yet
        (Begun("read", 100.0, 8, 800), {"split": (6.0, 3)}, (10.0 + 2 * 2.0, ())),  # by rows, then by units
        (Begun("read", 100.0, 8, 0), {"split": (6.0, 3)}, (10.0 + 2 * 2.0, ())),  # 4 of 8 units in 10 seconds
        (Begun("read", 100.0, 8, 800), {}, (10.0, ("split",))),
        (None, {"read": (5.0, 1), "split": (1.0, 1)}, (4 * 5.0 + 2 * 1.0, ())),  # by what earlier runs took
    ],
)
def test_time_to_go(
    begun: Begun | None, took: dict[str, tuple[float, int]], to_go: tuple[float | None, tuple[str, ...]]
) -> None:
    found, now = status_of(read=4, split=2), 110.0
    if begun is not None and to_go[0] is None:
        now = 100.0
        begun = Begun("read", 100.0, 4, 400)
    assert time_to_go(found, Past(took, {}, begun), now) == to_go


def test_a_log_tells_seconds_and_what_is_begun(tmp_path: Path) -> None:
    events = [
        {
            "event": "begin",
            "stage": "draw",
            "planned_by": "unrelated",
            "units": 1,
            "total_units": 3,
            "pid": 1,
        },
        {"event": "end", "stage": "draw", "planned_by": "unrelated", "units": 3, "total_units": 3, "pid": 1},
        {"event": "begin", "stage": "split", "planned_by": "split", "units": 0, "total_units": 5, "pid": 1},
        {"event": "stopped", "error": "OutputError"},
        {"event": "begin", "stage": "split", "planned_by": "split", "units": 2, "total_units": 5, "pid": 2},
    ]
    more = {"seconds": 8.0, "rows": 0, "total_rows": 50, "time": "2026-01-01T00:00:00+00:00"}
    text = "".join(json.dumps(event | more) + "\n" for event in events)
    (tmp_path / "log.jsonl").write_text(f"{text}[1]\nnot json\n")
    past = past_units(tmp_path, 2)
    assert (past.took, past.each("unrelated"), past.each("split")) == ({"unrelated": (8.0, 2)}, 4.0, None)
    assert past.begun == Begun("split", datetime(2026, 1, 1, tzinfo=UTC).timestamp(), 3, 50)
    assert past_units(tmp_path).begun is None
    assert past_units(tmp_path / "nowhere") == Past()
