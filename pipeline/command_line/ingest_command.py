"""`nearfar ingest`: its options, and what it prints."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from indexes.errors import BadInputError
from pipeline import layout
from pipeline.command_line.option_types import AsJson, FetchedInto, Scheduler, Workers
from pipeline.stores.working_copies import place_of

# As many as a list of the open web has, nearly; the table of hosts has all.
_REASONS = 20


def ingest(
    urls: Annotated[
        str, typer.Argument(help="The list: Parquet, CSV, TSV, JSON lines or text.", metavar="URLS")
    ],
    out: FetchedInto,
    image_size: Annotated[
        int | None, typer.Option(min=16, max=4096, help="Longest larger side in pixels; else files are kept.")
    ] = None,
    shard_rows: Annotated[
        int, typer.Option(min=1, max=100_000, help="Rows of the list for one tar.")
    ] = 10_000,
    connections: Annotated[int, typer.Option(min=1, max=1024, help="At a time, for each process.")] = 64,
    per_host: Annotated[
        int, typer.Option(min=1, max=1024, help="Of these, to one host; fewer where it asks to wait.")
    ] = 16,
    deny: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND=FILE", help="A deny list of url, host, sha256 or md5."),
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try again what failed in passing.")
    ] = False,
    loopback: Annotated[
        bool, typer.Option("--loopback", help="Let addresses of this machine be fetched from: for tests.")
    ] = False,
    workers: Workers = None,
    scheduler: Scheduler = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Fetch again what another list or other limits gave.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fetch the images of a list of URLs into a pool."""
    from pipeline.ending.last_object import Ingested, say_last
    from pipeline.execution.progress import Progress
    from pipeline.incoming.lists import Again, Hands
    from pipeline.incoming.lists import ingest as ingest_list
    from pipeline.sets.ingest_request import IngestRequest

    request = IngestRequest(
        urls=urls,
        image_size=image_size,
        shard_rows=shard_rows,
        connections=connections,
        per_host=per_host,
        deny=named_files(deny or [], "--deny"),
        loopback=loopback,
    )
    with Progress(out, as_json=as_json) as progress:
        counts = ingest_list(
            request, out, Again(retry_failed, overwrite), Hands(workers, scheduler), progress
        )
    # A pool without an image is nobody's wish: what comes after in a job is not to begin.
    reasons = [] if counts["successes"] else [f"none of {counts['count']:,} URLs gave an image"]
    if as_json:
        answer = Ingested(f"{place_of(out)}/shards", f"{out}/{layout.hosts()}", **counts)
        say_last("ingest", answer, int(bool(reasons)), reasons)
    else:
        _say(out, counts)
    for reason in reasons:
        print(f"nearfar: {reason}", file=sys.stderr)
    raise typer.Exit(int(bool(reasons)))


def named_files(texts: Sequence[str], option: str) -> dict[str, str]:
    """Read KIND=FILE options.

    Raises:
        BadInputError: If one is not of that form.
    """
    found = dict(text.partition("=")[::2] for text in texts)
    wrong = [kind for kind, path in found.items() if not kind or not path]
    if wrong:
        raise BadInputError(f"{option} {wrong[0]}: give it as KIND=FILE, for example host=not_these.txt")
    kinds = [text.partition("=")[0] for text in texts]
    twice = [kind for kind in found if kinds.count(kind) > 1]
    if twice:
        raise BadInputError(
            f"{option} {twice[0]} is given {kinds.count(twice[0])} times; put its lists into one file"
        )
    return found


def _say(out: Path, counts: dict[str, Any]) -> None:
    """Say how many images came, what the others failed of, and what can be done about it."""
    from pipeline.report.drawing.text import brief, percent

    total, kept = counts["count"], counts["successes"]
    print(f"{kept:,} of {total:,} URLs gave an image ({percent(kept / total)}); {total - kept:,} did not")
    reasons = {reason: rows for reason, rows in counts["status_dict"].items() if reason != "success"}
    for reason, rows in list(reasons.items())[:_REASONS]:
        print(f"  {rows:>10,}  {brief(reason)}")
    if len(reasons) > _REASONS:
        print(f"  {sum(list(reasons.values())[_REASONS:]):>10,}  other reasons")
    if counts["passing"]:
        print(
            f"{counts['passing']:,} of these may pass: the same command with --retry-failed tries them again"
        )
    print(f"by host: {out}/{layout.hosts()}")
    print(f"pool: {place_of(out)}/shards")
