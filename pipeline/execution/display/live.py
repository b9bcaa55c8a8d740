"""Bars on a terminal, by rich."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from pipeline.execution.display.counts import Stage, clock_time
from pipeline.execution.display.redaction import redact


class Bars:
    """One bar per stage; those of stages that are over stay, with the time that they took."""

    def __init__(self, console: Console | None = None) -> None:
        # no markup: a stage may bear a name of the user's, and brackets are text
        self._progress = Progress(
            TextColumn("{task.description:<14}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[counts]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}", markup=False),
            console=console or Console(stderr=True),
        )
        self._task: TaskID | None = None

    def begin(self, stage: Stage) -> None:
        """Add a bar."""
        self._progress.start()
        self._task = self._progress.add_task(
            redact(stage.name), total=max(1, stage.total_units), completed=stage.units, counts="", left=""
        )
        self.update(stage)

    def update(self, stage: Stage) -> None:
        """Move the bar; drawing is limited by rich to ten times a second."""
        if self._task is None:
            return
        counts = f"{stage.units:,}/{stage.total_units:,} units"
        if stage.rows:
            counts += f"  {stage.rows:,} rows  {stage.rate:,.0f} rows/s"
        left = (
            "" if stage.eta is None or stage.units >= stage.total_units else f"{clock_time(stage.eta)} to go"
        )
        self._progress.update(self._task, completed=stage.units, counts=counts, left=left)

    def end(self, stage: Stage, whole: bool) -> None:
        """Fill the bar, or leave it where it stopped."""
        self.update(stage)
        if self._task is not None:
            completed = max(1, stage.total_units) if whole else stage.units
            self._progress.update(self._task, completed=completed, left="" if whole else "stopped")
            self._progress.stop_task(self._task)
        self._task = None

    def close(self) -> None:
        """Give the terminal back."""
        self._progress.stop()
