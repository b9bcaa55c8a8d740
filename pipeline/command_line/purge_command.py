"""`nearfar purge`: its options, and what it prints."""

from __future__ import annotations

import json
from collections import Counter
from typing import Annotated, Any

import typer

from pipeline.command_line.ingest_command import named_files
from pipeline.command_line.option_types import AsJson, Outputs


def purge(
    out: Outputs,
    lists: Annotated[
        list[str],
        typer.Option("--list", metavar="KIND=FILE", help="A list of uid, url, host, sha256 or md5."),
    ],
    as_json: AsJson = False,
) -> None:
    """Remove what lists name from a run, and keep it out of later ones."""
    from pipeline.purging.named_rows import read_lists
    from pipeline.purging.purge import purge as purge_run

    found = purge_run(out.absolute(), read_lists(named_files(lists, "--list")))
    named = found.named
    if as_json:
        counts: dict[str, Any] = {
            "samples": dict(named.samples),
            "lost": dict(named.lost),
            "unknown": {kind: rows for kind, rows in named.unknown.items() if rows},
            "parts": found.parts,
        }
        print(json.dumps({"event": "purged"} | counts, sort_keys=True))
        return
    print(f"samples named: {_by_set(named.samples)}; lost rows named: {_by_set(named.lost)}")
    for kind, rows in named.unknown.items():
        if rows:
            print(f"{rows:,} samples have no {kind}, so that its list cannot tell of them")
    if found.parts:
        parts = "part was" if found.parts == 1 else "parts were"
        print(f"{found.parts:,} {parts} cut, and what was computed from them is gone: run the plan again")
    else:
        print("nothing was changed")


def _by_set(counts: Counter[str]) -> str:
    return ", ".join(f"{rows:,} of {name}" for name, rows in counts.items() if rows) or "none"
