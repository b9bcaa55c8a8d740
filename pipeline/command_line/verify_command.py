"""`nearfar verify`: its options, and what it prints."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.command_line.option_types import AsJson, Outputs

if TYPE_CHECKING:
    from pipeline.splits.again.recheck import Rechecked
    from pipeline.verifying.verification import Verification

_ROWS = 200_000


def verify(
    out: Outputs,
    samples: Annotated[
        int, typer.Option(min=1, help="Samples to score again by brute force in float64.")
    ] = 256,
    rows: Annotated[
        int,
        typer.Option(min=1, help="Rows of each measure, and of each kind of other work, to compute again."),
    ] = _ROWS,
    whole: Annotated[bool, typer.Option("--whole", help="Compute all of them again.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the draws.")] = 0,
    repair: Annotated[
        bool, typer.Option("--repair", help="Make again what is wrong, and all that came of it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Prove a finished run, or a pool that `nearfar ingest` fetched.

    Hashes every file; computes every measure again from what it reads and compares each value; decides every split
    again rule by rule; scores a sample by an independent float64 path. What is too much is drawn by seed, and the
    answer says which share. Of a fetched pool, tars are held against their lists, image by image.
    """
    from pipeline.ending.last_object import say_last
    from pipeline.execution.progress import Progress
    from pipeline.repair import repair as repair_run
    from pipeline.stores.working_copies import place_of
    from pipeline.verify import verify as verify_run
    from pipeline.webdataset.exports_there import begun_exports, begun_said

    limit = None if whole else rows
    result = verify_run(out, samples, seed, limit)
    if result.problems and repair:
        _say_wrong(result, as_json)
        with Progress(out, as_json=as_json) as progress:
            repair_run(out, result, progress)
        result = verify_run(out, samples, seed, limit)
    code = 1 if result.problems else 0
    if as_json:
        say_last("verify", result.counts(), code, result.problems)
    else:
        _say_wrong(result, as_json)
        _say(result)
        for split, tars in begun_exports(out).items():
            print(begun_said(split, tars))
        if result.problems and not repair:
            print(
                "to make again what is wrong and all that came of it: "
                f"nearfar verify {shlex.quote(place_of(out))} --repair"
            )
    raise typer.Exit(code)


def _say_wrong(result: Verification, as_json: bool) -> None:
    from pipeline.report.drawing.text import visible_lines

    for problem in result.problems:
        said = f"wrong: {visible_lines(problem)}"
        print(json.dumps({"event": "wrong", "problem": problem}) if as_json else said)


def _say(result: Verification) -> None:
    """Say what was looked at: what was left out, or drawn, by name."""
    problems = len(result.problems)
    verdict = f"{problems:,} problem{'' if problems == 1 else 's'}" if problems else "all well"
    exactly = f", {result.decisions:,} samples and {result.thresholds:,} thresholds computed again in float64"
    print(
        f"{verdict}: {result.files:,} files hashed{exactly if result.decisions or result.thresholds else ''}"
    )
    if result.again:
        done, units = (sum(getattr(one, name) for one in result.again.values()) for name in ("again", "of"))
        print(f"{done:,} of {units:,} units done again, every value compared")
    for kind, share in result.again.items():
        if share.again < share.of and not result.problems:
            reason = f": {share.left}" if share.left else f" ({share.again / share.of:.1%}, drawn)"
            print(f"  {kind}: {share.again:,} of {share.of:,} units done again{reason}")
    for name, found in result.splits.items():
        print(f"split {name}: {_decided(found)}")
    if result.images:
        print(f"{result.images:,} images held against their lists")


def _decided(found: Rechecked) -> str:
    """Say how many samples each rule decided again, and what could not be."""
    whole = "all" if found.whole else "a draw of"
    parts = [f"{rule} of {rows:,}" for rule, rows in found.rules.items()]
    parts += [f"{rule} not, for {reason}" for rule, reason in found.left.items()]
    return f"{whole} {found.rows:,} samples decided again{': ' if parts else ''}{', '.join(parts)}"
