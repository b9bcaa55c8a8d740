"""The last line of `--json`, held against the schema that `nearfar schema answer` prints; and what a log counted."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import jsonschema

import pipeline.run as running
from indexes.errors import OutputError
from pipeline.ending.last_object import answer_schema


def last_object(output: str) -> dict[str, Any]:
    """Read the last line of what a command printed; the lines before it are events."""
    *before, last = output.splitlines()
    assert all(
        json.loads(line)["event"] in ("begin", "progress", "end", "stopped", "wrong") for line in before
    )
    found: dict[str, Any] = json.loads(last)
    jsonschema.validate(found, answer_schema())
    return found


def done_by(out: Path, after: int = 0) -> dict[str, dict[str, int]]:
    """Add up what runs did, by the stage that planned it: units, rows and bytes, from line `after` of the log on."""
    found: dict[str, dict[str, int]] = defaultdict(lambda: {"units": 0, "rows": 0, "bytes": 0})
    for line in (out / "log.jsonl").read_text().splitlines()[after:]:
        event = json.loads(line)
        if event["event"] == "begin":
            counts = found[event["planned_by"]]
            counts["units"] += event["total_units"] - event["units"]
            counts["rows"] += event["total_rows"]
            counts["bytes"] += event["bytes"]
    return dict(found)


def stopping_in(stage: str, units: int) -> Any:
    """What to put in place of `pipeline.run.do_wave`: it does so many units of a stage, and then fails."""
    doing = running.do_wave

    def stopped(run: Any, options: Any, progress: Any, wave: Any, planned_by: str) -> bool:
        if not wave or wave[0].stage != stage:
            return doing(run, options, progress, wave, planned_by)
        doing(run, options, progress, wave[:units], planned_by)
        raise OutputError("the disk is full; free some space, then run again")

    return stopped
