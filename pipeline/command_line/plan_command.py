"""`nearfar plan`: what a run would do and cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pipeline.ending.last_object import MeasuredRates, Planned, StageAhead, say_last
from pipeline.estimate import StageEstimate, estimate
from pipeline.execution.costs import Rates
from pipeline.incoming.lists import if_ingested
from pipeline.plan import load_plan
from pipeline.run import RunOptions


def plan(path: Path, overrides: Sequence[str], chosen: RunOptions, as_json: bool) -> None:
    """Print what a run would do and cost."""
    asked, waiting = if_ingested(load_plan(path, overrides))
    found = Planned((), None, waiting) if waiting else _planned(*estimate(asked, chosen))
    if as_json:
        say_last("plan", found)
    elif waiting:
        _say_waiting(waiting)
    else:
        _say(found)


def _planned(stages: Sequence[StageEstimate], rates: Rates | None) -> Planned:
    ahead = tuple(StageAhead(**asdict(one), todo=one.todo) for one in stages)
    return Planned(ahead, None if rates is None else MeasuredRates(**asdict(rates)), {})


def _say_waiting(waiting: dict[str, str]) -> None:
    """Say that nothing can be planned of images that are still in the web."""
    for place, folder in waiting.items():
        print(f"{place}: its images are to be fetched into {folder} first, which `nearfar run` does")
    print("what comes after that is planned when they are there")


def _say(found: Planned) -> None:
    columns = ("stage", "units", "done", "to do", "rows", "reads", "writes", "estimate")
    table = Table(*columns, box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for stage in found.stages:
        table.add_row(*_cells(stage))
    Console(highlight=False).print(table)
    if not all(stage.exact for stage in found.stages):
        print("~ as far as can be told: how many there are shows when the stages before it are done")
    if found.rates is None:
        print("nothing to do")
        return
    images = f", {found.rates.images:,.0f} images/s" if found.rates.images else ""
    print(
        f"measured on one shard: reading {found.rates.read_bytes / 1e6:,.0f} MB/s{images}, "
        f"search {2 * found.rates.products / 1e9:,.0f} GFLOP/s"
    )


def _cells(stage: StageAhead) -> tuple[str, ...]:
    seconds = "" if stage.seconds is None else f"{stage.seconds:,.1f} s"
    sizes = (f"{size / 1e6:,.1f} MB" if size else "" for size in (stage.reads, stage.writes))
    counts = (f"{'' if stage.exact else '~'}{stage.todo:,}", f"{stage.rows:,}" if stage.rows else "")
    return (stage.stage, f"{stage.units:,}", f"{stage.done:,}", *counts, *sizes, seconds)
