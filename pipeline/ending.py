"""What a run says at its end: what its report found, what was lost, where the report is and what was exported.

All of it comes from the committed `audit.json`, so that terminal and report have the same counts of the same rows.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from curation.losses import Lost
from pipeline import layout
from pipeline.commit import sound_bytes
from pipeline.execution.context import RunContext
from pipeline.execution.work import Json
from pipeline.report.loss_lines import loss_lines
from pipeline.report.outcomes import Rows
from pipeline.webdataset.export_request import tar_name

_READERS = 4
"""Processes that open_clip reads with, unless it is told another number."""


def audit_of(run: RunContext) -> Json:
    """Read a run's `audit.json`, having checked that it is what was committed.

    Raises:
        OutputError: If it is not.
    """
    path = layout.report("audit.json")
    return dict(json.loads(sound_bytes(run.out, run.record("report", "report"), path)))


def rows_of(audit: Json) -> dict[str, Rows]:
    """Read what became of each set's rows, the pool first."""
    rows = {name: Rows(**{key: found[key] for key in _ROWS}) for name, found in audit["rows"].items()}
    return {name: rows[name] for name in sorted(rows, key=lambda name: (name != "pool", name))}


_ROWS = ("dataset", "listed", "failed", "quarantined", "repeated")


def lost_of(audit: Json, name: str) -> Lost:
    """Count what a set lost; `name` is what `audit.json` calls it."""
    found = audit["rows"][name]
    return Lost(found["lost"], found["listed"])


def say(run: RunContext, as_json: bool) -> None:
    """Print what a run found: its splits, its headline, what each set lost, what was noted, where the report is."""
    audit = audit_of(run)
    if as_json:
        splits = {name: record.facts for name, record in run.done["split"].items()}
        found = {"output": run.plan.output, "splits": splits, "rows": audit["rows"]}
        found |= {"pair_list": audit["pair_list"]}
        print(json.dumps({"event": "finished", "headline": audit["headline"]} | found, sort_keys=True))
        return
    if audit["splits"]:
        Console(highlight=False).print(_splits(audit))
        print(f"splits: {run.plan.output}/splits")
    if audit["benchmarks"]:
        Console(highlight=False).print(_benchmarks(audit))
        print(audit["headline"]["text"])
        print(_pairs(run.plan.output, audit))
    for line in [*loss_lines(rows_of(audit)), *audit["headline"]["notes"]]:
        print(line)
    print(f"report: {run.plan.output}/{layout.report('report.html')}")


def _splits(audit: Json) -> Table:
    """Tabulate what each split keeps of all rows that the pool lists, lost ones included."""
    table = Table("split", "kept", "of", "share", box=None, pad_edge=False)
    for name, split in audit["splits"].items():
        kept, rows = _count(split["kept"]), _count(split["rows"])
        share = f"{split['kept'] / split['rows']:.1%}" if split["rows"] else "-"
        table.add_row(name, kept, rows, share)
    return table


def _benchmarks(audit: Json) -> Table:
    """Tabulate what the pool holds near each benchmark: queries by degree, as the report's summary counts them."""
    levels = audit["levels"]
    table = Table(
        "benchmark", "queries", f"> {levels['hard']:g}", f"> {levels['soft']:g}", box=None, pad_edge=False
    )
    with_reference = any(found["reference"] for found in audit["benchmarks"].values())
    if with_reference:
        table.add_column("nearer than reference")
        table.add_column("pool samples above a threshold")
    for name, found in audit["benchmarks"].items():
        leaks = found["leakage"][0]
        hard, soft = leaks["hard"]["queries"], leaks["soft"]["queries"]
        cells = [found["queries"], hard, hard + soft]
        if with_reference:
            cells += [found["pool"]["queries_above_reference"], found["pool_samples"]["margin_above_0"]]
        table.add_row(name, *map(_count, cells))
    return table


def _pairs(output: str, audit: Json) -> str:
    """Say where all near pairs are listed, and what the list may lack."""
    found = audit["pair_list"]
    benchmarks = found["benchmarks"].values()
    listed, cut = (sum(each[name] for each in benchmarks) for name in ("pairs", "queries_cut"))
    files = " and ".join(f"{output}/{file}" for file in found["files"])
    line = f"pairs above {found['above']:g}: {_count(listed)}, in {files}"
    if not cut:
        return line
    return (
        f"{line}; {_count(cut)} queries have more than the {found['neighbours']} that are listed of each: "
        "`--set neighbours=N` lists more"
    )


def _count(number: Any) -> str:
    return f"{number:,}"


def say_exported(out: Path, facts: Json, as_json: bool) -> None:
    """Print where the tars of a split are, what did not come along, and how to train on them."""
    folder = f"{out}/{layout.exported(facts['split'])}"
    if as_json:
        print(json.dumps({"event": "exported", "folder": folder} | facts, sort_keys=True))
        return
    print(f"{facts['samples']:,} samples in {facts['shards']:,} tars: {folder}")
    if facts["left_out"]:
        kinds = ", ".join(f"{count:,} .{kind}" for kind, count in facts["left_out"].items())
        print(f"left out, since a loader would unpickle them, which runs what is in them: {kinds}")
    if facts["shards"]:
        print(f"to train on them: {trainers_command(folder, facts['shards'])}")


def trainers_command(folder: str, shards: int) -> str:
    """Write the command by which open_clip trains on tars; it wants no more workers than there are tars."""
    span = f"{tar_name(0).removesuffix('.tar')}..{tar_name(shards - 1).removesuffix('.tar')}"
    tars = shlex.quote(f"{folder}/{{{span}}}.tar")
    workers = min(_READERS, shards)
    return f"python -m open_clip_train.main --dataset-type webdataset --train-data {tars} --workers {workers}"
