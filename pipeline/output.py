"""What an output folder may be used for: what stands there stays, and only `--overwrite` removes it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from indexes.errors import NearfarError, OutputError
from pipeline import layout
from pipeline.commit import records
from pipeline.commit.copying import clear, keep
from pipeline.execution.context import RunContext
from pipeline.execution.work import OUTPUT_VERSION, Json
from pipeline.measuring import encoder_name
from pipeline.plan import Lock, Plan, dump_lock, is_damaged, load_lock
from pipeline.stores.brought_sets import set_place
from pipeline.stores.working_copies import place_of

# In the lock file of a run that has not ended: where the sets were that lie elsewhere now.
_READ_AT = "read_at"


def moved_sets(plan: Plan, out: Path) -> frozenset[str]:
    """Name the sets whose path is another than where the last run that came to its end read them."""
    return frozenset(_former_paths(plan, out))


def _former_paths(plan: Plan, out: Path) -> dict[str, str]:
    """Find where sets of the plan were read that lie elsewhere now.

    A run that was refused, or killed, has read nothing to the end: its lock file says where they were before it.
    """
    before = _last(out)
    if before is None:
        return {}
    now, then = _paths(plan), _paths(before.plan) | before.fingerprints.get(_READ_AT, {})
    return {name: then[name] for name in now if name in then and now[name] != then[name]}


def _paths(plan: Plan) -> dict[str, str]:
    named = plan.sources_by_place().items()
    return {
        place.removeprefix("benchmarks.").removeprefix("sources."): set_place(source.path)
        for place, source in named
    }


def lock_of(out: Path) -> Lock:
    """Read the plan that an output folder was made by.

    Raises:
        OutputError: If the folder holds no run.
    """
    lock = out / layout.LOCK_FILE
    if not lock.is_file():
        raise OutputError(
            f"{place_of(out)} holds no run (no {layout.LOCK_FILE}); name the `output` folder of a plan"
        )
    return load_lock(lock)


def _last(out: Path) -> Lock | None:
    """Read what the last run left; None where there was none that this version can read."""
    try:
        return load_lock(out / layout.LOCK_FILE) if (out / layout.LOCK_FILE).is_file() else None
    except NearfarError:
        return None


def prepare_output(run: RunContext, overwrite: bool) -> None:
    """Refuse an output whose embeddings this plan would replace, or clear it where the user asked for that.

    Splits, measures, benchmarks and encoders may come and go from run to run: that is what measuring once is for.

    Raises:
        OutputError: If the folder holds what an older version made, or embeddings that would be lost.
    """
    lock = run.out / layout.LOCK_FILE
    problem = _problem(run) if lock.exists() or (run.out / layout.COMMITS).exists() else None
    if problem and not overwrite:
        raise OutputError(
            f"{run.out} {problem}. Name another output folder (`output`, or --out of an audit), or add --overwrite to "
            f"remove what is there{_worth(run)}"
        )
    if problem:
        print(f"removing what {run.out} holds{_worth(run)}", file=sys.stderr)
        clear(run.out)
        for name in (*layout.FOLDERS, *layout.FILES):
            _remove(run.out / name)
    former = {} if problem else _former_paths(run.plan, run.out)
    more = {_READ_AT: former} if former else {}
    content = dump_lock(run.plan, {"command": run.command, "version": OUTPUT_VERSION, **more}).encode()
    if problem or not _same_plan(lock, content):
        keep(run.out, layout.LOCK_FILE, content)


def _same_plan(lock: Path, content: bytes) -> bool:
    """Say whether the last run was one of the same plan, so that its lock file stands until something is done."""
    if not lock.is_file():
        return False
    fresh, held = content.partition(b"\nfingerprints:")[0], lock.read_bytes().partition(b"\nfingerprints:")[0]
    return fresh == held and b"\nfingerprints:" in lock.read_bytes()


def _problem(run: RunContext) -> str | None:
    lock = run.out / layout.LOCK_FILE
    if lock.is_file() and is_damaged(lock):
        return None  # it is written again, and what the records name stands
    before = _last(run.out)
    version = None if before is None else before.fingerprints.get("version")
    if version != OUTPUT_VERSION and any(records(run.out, stage) for stage in ("read", "catalog")):
        return (
            "holds the output of another version of nearfar "
            f"(layout {version or 1}, this one writes {OUTPUT_VERSION})"
        )
    if before is None:
        return None
    replaced = [_replaced(run, before.plan, name, made) for name, made in _embedded(run).items()]
    found = [text for text in replaced if text]
    return f"holds embeddings that this plan would replace: {'; '.join(found)}" if found else None


def _embedded(run: RunContext) -> dict[str, int]:
    """Count the rows that were embedded while they were read, by set."""
    rows: dict[str, int] = {}
    for record in records(run.out, "read"):
        if record.facts.get("encoder") is not None:
            name = record.name.rpartition("-")[0]
            rows[name] = rows.get(name, 0) + int(record.facts["rows"])
    return rows


def _replaced(run: RunContext, before: Plan, name: str, rows: int) -> str | None:
    """Say why a set's embeddings would be made again, if they would."""
    now = run.sets().get(name)
    then: Any = {
        "pool": before.pool,
        "reference": before.reference,
        **before.benchmarks,
        **before.sources,
    }.get(name)
    if now is None or then is None:
        return None
    encoder, former = encoder_name(run.plan, name), encoder_name(before, name)
    chosen, made_by = run.plan.encoder_map().get(encoder), before.encoder_map().get(former)
    if encoder == former and chosen is not None and made_by is not None and chosen != made_by:
        return (
            f"{rows:,} of {name}, made by {made_by.label}, where the encoder '{encoder}' is now {chosen.label} "
            "(to have both, name them under encoders)"
        )
    if (now.format, dict(now.options)) != (then.format, dict(then.options)):
        return f"{rows:,} of {name}, which was read as another format or with other options"
    return None


def _worth(run: RunContext) -> str:
    """Say what would be lost, and how long it took to make."""
    rows = sum(_embedded(run).values())
    seconds = run.ledger.seconds("read") + run.ledger.seconds("embed")
    spent = "" if not seconds else f", which took {_duration(seconds)}"
    return f" ({rows:,} embeddings{spent})" if rows else ""


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def finished(out: Path) -> Json | None:
    """Read the fingerprints that a run leaves at its end; None where it has not ended."""
    lock = load_lock(out / layout.LOCK_FILE)
    return lock.fingerprints if "sets" in lock.fingerprints else None
