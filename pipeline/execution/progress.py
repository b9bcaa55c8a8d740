"""How a run tells what it does: live bars on a terminal, plain lines elsewhere, JSON lines on request, and a log.

Bars and plain lines go to standard error, JSON lines to standard output. The log `<out>/log.jsonl` is the only file
with time stamps; it is appended to, never committed, and credentials in URLs are hidden in it as everywhere.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from pipeline.execution.display.counts import Clock, Stage, clock_time
from pipeline.execution.display.redaction import redact
from pipeline.execution.display.run_log import LogHandler, RunLog
from pipeline.execution.light_start import begin_work
from pipeline.execution.tasks import LOG

EVERY_SECONDS = 1.0
"""Plain and JSON lines come at most this often per stage, besides the first and the last."""


class View(Protocol):
    """One way to show progress."""

    def begin(self, stage: Stage) -> None:
        """A stage begins."""
        ...

    def update(self, stage: Stage) -> None:
        """Some units of it are done."""
        ...

    def end(self, stage: Stage, whole: bool) -> None:
        """It is over; `whole` is false where an error or a signal ended it."""
        ...

    def close(self) -> None:
        """The run is over."""
        ...


class Lines:
    """A line per stage and second; `write` gets the event's name and the stage."""

    def __init__(self, write: Callable[[str, Stage], None], clock: Clock) -> None:
        self._write = write
        self._clock = clock
        self._last = 0.0

    def begin(self, stage: Stage) -> None:
        """Say that it begins, unless all is done already."""
        self._last = self._clock()
        if stage.units < stage.total_units:
            self._write("begin", stage)

    def update(self, stage: Stage) -> None:
        """Say how far it is, if a second has passed."""
        if self._clock() - self._last >= EVERY_SECONDS and stage.units < stage.total_units:
            self._last = self._clock()
            self._write("progress", stage)

    def end(self, stage: Stage, whole: bool) -> None:
        """Say that it is done, or where it stopped."""
        self._write("end" if whole else "stopped", stage)

    def close(self) -> None:
        """Nothing is held."""


def plain_line(event: str, stage: Stage) -> str:
    """A line for a reader: stage, units, rows, rate, time to go or taken."""
    parts = [f"{stage.units:,}/{stage.total_units:,} units"]
    if stage.total_rows or stage.rows:
        parts.append(f"{stage.rows:,} rows")
    if stage.rate:
        parts.append(f"{stage.rate:,.0f} rows/s")
    if event == "progress" and stage.eta is not None:
        parts.append(f"{clock_time(stage.eta)} to go")
    if event in ("end", "stopped"):
        parts.append(f"{'in' if event == 'end' else 'stopped after'} {clock_time(stage.seconds)}")
    return redact(f"{stage.name}: {', '.join(parts)}")


class Progress:
    """Tells how a run goes; use as a context manager around it.

    Args:
        out: The output folder, for the log (kept from the moment the folder exists); None keeps no log.
        as_json: JSON lines on standard output instead of bars or plain lines.
        live: Bars; None means where standard error is a terminal.
        clock: Seconds that never go back, for tests.
    """

    def __init__(
        self,
        out: Path | None = None,
        as_json: bool = False,
        live: bool | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._clock = clock
        self._log = RunLog(out)
        self._handler = LogHandler(self._log)
        self._view = self._choose(as_json, sys.stderr.isatty() if live is None else live)

    def __enter__(self) -> Self:
        LOG.addHandler(self._handler)
        LOG.setLevel(logging.INFO)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._log.write("stopped", error=type(error).__name__, message=str(error))
        self._view.close()
        LOG.removeHandler(self._handler)
        self._log.close()

    @contextlib.contextmanager
    def stage(
        self,
        name: str,
        total_units: int,
        total_rows: int = 0,
        done_units: int = 0,
        done_rows: int = 0,
        facts: Mapping[str, Any] | None = None,
    ) -> Iterator[Stage]:
        """Open a stage.

        Args:
            name: As users know it.
            total_units: Units to do in this run.
            total_rows: Rows of those, for rate and time to go.
            done_units: Units that an earlier run did, besides; they count as done and as part of the total.
            done_rows: Rows of those.
            facts: What else its events say.
        """
        begin_work()
        totals = (total_units + done_units, total_rows + done_rows)
        stage = Stage(name, totals, (done_units, done_rows), self._clock, facts or {})
        stage.listener = lambda: self._view.update(stage)
        self._log.write("begin", **stage.facts())
        self._view.begin(stage)
        whole = False
        try:
            yield stage
            whole = True
        finally:
            self._view.end(stage, whole)
            self._log.write("end" if whole else "stopped", **stage.facts())

    def note(self, event: str, **facts: Any) -> None:
        """Write an event of one's own to the log."""
        self._log.write(event, **facts)

    def _choose(self, as_json: bool, live: bool) -> View:
        if as_json:
            return Lines(_print_json, self._clock)
        if not live:
            return Lines(_print_plain, self._clock)
        from pipeline.execution.display.live import (
            Bars,
        )  # rich takes a while to import, and only terminals need it

        return Bars()


def _print_json(event: str, stage: Stage) -> None:
    facts = {"event": event, **stage.facts()}
    print(redact(json.dumps(facts, sort_keys=True)), flush=True)


def _print_plain(event: str, stage: Stage) -> None:
    print(plain_line(event, stage), file=sys.stderr, flush=True)
