"""Units done again from what they read, in a scratch place, and compared with what they committed, value for value.

Every unit reads what earlier ones committed. So where each gives again what it gave, all follows from the user's files
and the embeddings. Where there is much, some units of every kind are drawn; which depends on the seed alone.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any

from indexes.errors import NearfarError
from pipeline.commit import Attempt, Record, attempt, output_of, read_record
from pipeline.commit.records import canonical_json
from pipeline.execution.performing import carried_out
from pipeline.execution.work import Json, Work, together
from pipeline.files.digests import sha256_of
from pipeline.stores.held_files import held
from pipeline.verifying.file_differences import differences, facts_differ
from pipeline.verifying.verification import Share, Verification

ROWS = 200_000
"""Rows of each kind of unit that are looked at again, at least those of one unit."""
ROUNDING = 2.0**-9
"""How far a number of an embedding may lie from what another machine gives: two steps of float16 near 1."""
EMBEDS = "images and captions are embedded once; their files were hashed"
LAID_OUT = "atlases are laid out once: another machine rounds otherwise; their files were hashed"
_EMBEDDING = ("read", "embed")
_BESIDE = ("inputs", "part")
"""What the performer puts beside a stage's own facts."""
_PART = re.compile(r"[- ](\d{4,})(?= |$)")
_PIECE = re.compile(r" (\d{4,})$")

Group = list[Work[Any, Any]]


def do_again(waves: Iterable[Group], rows: int | None, seed: int, result: Verification) -> None:
    """Do units again, and note what comes out otherwise.

    Args:
        waves: All units, as they were planned.
        rows: Rows of each kind that are looked at, at least those of one unit; None for all.
        seed: Of the draw, where there are more.
        result: Takes what was done and what is wrong.
    """
    for wave in waves:
        for group in _chosen(wave, rows, seed, result):
            _compare_group(group, result)


def _chosen(wave: Group, rows: int | None, seed: int, result: Verification) -> list[Group]:
    kinds: dict[str, list[Group]] = {}
    for group in together(wave):
        once = _once(group[0])
        for work in group:
            share = result.again.setdefault(_kind(work), Share(left=once))
            share.of += 1
        if not once:
            kinds.setdefault(group[0].stage if group[0].together else _kind(group[0]), []).append(group)
    found: list[Group] = []
    for groups in kinds.values():
        left = rows
        for group in sorted(groups, key=lambda group: zlib.crc32(f"{_number(group[0])}:{seed}".encode())):
            if left is not None and left <= 0:
                break
            found.append(group)
            left = None if left is None else left - max(work.rows for work in group)
    return found


def _once(work: Work[Any, Any]) -> str:
    """Say why a unit is not done again; nothing of one that is."""
    if work.stage == "atlas":
        return LAID_OUT
    return EMBEDS if work.stage in _EMBEDDING and bool(getattr(work.settings, "encoder_name", "")) else ""


def _kind(work: Work[Any, Any]) -> str:
    """Name what a unit is one of: `measure/captions`, `read/pool`."""
    return f"{work.stage}/{(_PIECE if work.part is None else _PART).sub('', work.name)}"


def _number(work: Work[Any, Any]) -> int:
    """Say which part or piece a unit is for: measures of several levels are drawn of the same parts."""
    found = _PIECE.search(work.name) if work.part is None else None
    return work.part[1] if work.part is not None else int(found[1]) if found else 0


def _compare_group(group: Group, result: Verification) -> None:
    out = Path(group[0].place.out)
    with ExitStack() as stack:
        attempts = [stack.enter_context(attempt(out, work.unit())) for work in group]
        for work, into in zip(group, attempts, strict=True):
            into.noted |= {one.key: result.contents[one.key] for one in work.inputs}
        try:
            stack.enter_context(held(one.path for work in group for one in work.inputs))
            facts = list(carried_out(group, attempts))
        except Exception as error:  # noqa: BLE001 - what was committed may be anything
            reason = str(error) if isinstance(error, NearfarError) else f"{type(error).__name__}: {error}"
            result.problems.append(f"{group[0].label} cannot be done again: {' '.join(reason.split())[:500]}")
            result.wrong.append(group[0].label)
            return
        for work, into, found in zip(group, attempts, facts, strict=True):
            result.again[_kind(work)].again += 1
            wrong = list(_compared(out, work, into, found))
            result.problems += wrong
            result.wrong += [work.label] if wrong else []


def _compared(out: Path, work: Work[Any, Any], into: Attempt, facts: Json) -> Iterable[str]:
    record = read_record(out, work.stage, work.name)
    if record is None:
        return [f"the record of {work.label} is gone"]
    close = ROUNDING if work.stage == "phrase" else 0.0
    held, made = {output.path for output in record.outputs}, into.written()
    other = [f"{path} should not be there" for path in sorted(held - made.keys())]
    other += [f"{path} should be there" for path in sorted(made.keys() - held)]
    files = ((path, made[path]) for path in sorted(made.keys() & held))
    values = ((path, text) for path, file in files for text in _other_values(out, record, path, file, close))
    remembered = () if close else facts_differ(_own(record.facts), _own(_as_read(facts)))
    return chain(
        other,
        (f"{path}: {text}" for path, text in values),
        (f"the record of {work.label}: {text}" for text in remembered),
    )


def _other_values(out: Path, record: Record, path: str, again: Path, close: float) -> list[str]:
    if sha256_of(again) == output_of(record, path).sha256:
        return []
    return differences(out / path, again, close)


def _own(facts: Mapping[str, Any]) -> Json:
    return {name: value for name, value in facts.items() if name not in _BESIDE}


def _as_read(facts: Json) -> Json:
    """Write facts as a record has them: lists for tuples, plain numbers."""
    return dict(json.loads(canonical_json(facts)))
