"""What the log of an output folder says of the time that units took; it serves to say how long others will."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from pipeline.execution.display.run_log import LOG_NAME


@dataclass(frozen=True, slots=True)
class Begun:
    """A wave of units that a process has begun and not ended.

    Attributes:
        stage: The stage that planned it.
        at: When, in seconds since 1970.
        units: Units that were to do then.
        rows: Rows of those; 0 where they are not known.
    """

    stage: str
    at: float
    units: int
    rows: int

    def to_go(self, units: int, rows: int, now: float) -> float | None:
        """Say in how many seconds the rest will be done, by rows where they are known; None while nothing is.

        Args:
            units: Units that are still to do.
            rows: Rows of those.
            now: Seconds since 1970.
        """
        whole, left = (self.rows, rows) if self.rows else (self.units, units)
        done = whole - left
        return max(0.0, now - self.at) * left / done if done > 0 else None


@dataclass(slots=True)
class Past:
    """What a log tells.

    Attributes:
        took: Seconds of the units that were done, and their number, by the stage that planned them.
        planned: Units of the last wave, by stage.
        begun: What a process is at; None where it has begun nothing, or ended it.
    """

    took: dict[str, tuple[float, int]] = field(default_factory=dict)
    planned: dict[str, int] = field(default_factory=dict)
    begun: Begun | None = None

    def each(self, stage: str) -> float | None:
        """Say how long a unit of a stage took, on average; None where none was done."""
        seconds, units = self.took.get(stage, (0.0, 0))
        return seconds / units if units else None


def past_units(out: Path, pid: int | None = None) -> Past:
    """Read a log; one that is not there, or a line that is none, tells nothing.

    Args:
        out: The output folder.
        pid: The process that is asked about.
    """
    past, before = Past(), dict[str, int]()
    try:
        lines = (out / LOG_NAME).read_bytes().splitlines()
    except OSError:
        return past
    for line in lines:
        event = _event(line)
        if event is None:
            continue
        stage, kind = event.get("planned_by", event["stage"]), event["event"]
        past.planned[stage] = event["total_units"]
        mine = pid is not None and event.get("pid") == pid
        if kind == "begin":
            before[stage] = event["units"]
        elif stage in before:
            seconds, units = past.took.get(stage, (0.0, 0))
            past.took[stage] = (seconds + event["seconds"], units + event["units"] - before.pop(stage))
        if mine:
            past.begun = _begun(stage, event) if kind == "begin" else None
    return past


def _event(line: bytes) -> dict[str, Any] | None:
    """Read an event of a stage; None for any other line."""
    try:
        event = json.loads(line)
        at = datetime.fromisoformat(event["time"]).timestamp()
        whole = all(isinstance(event[name], int) for name in ("units", "total_units", "total_rows"))
        return event | {"at": at} if whole and isinstance(event["stage"], str) else None
    except (ValueError, KeyError, TypeError):
        return None


def _begun(stage: str, event: dict[str, Any]) -> Begun:
    return Begun(stage, event["at"], event["total_units"] - event["units"], event["total_rows"])
