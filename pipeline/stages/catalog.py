"""Each set as a whole: are there rows, do counts match, is every uid there once, do all encoders agree."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from indexes.errors import DataError
from pipeline import layout
from pipeline.commit import Attempt, Record
from pipeline.execution.context import RunContext, digests, merged_counts, paths
from pipeline.execution.costs import Cost, Rates, rows_of
from pipeline.execution.work import Json, Work
from pipeline.files.database import connect, files
from pipeline.files.parquet import parquet_schema, write_parquet
from pipeline.measuring import encoder_name
from pipeline.passes.located import groups_of, own_key, sets_of_rules, unit_name, wanted_vectors
from pipeline.sets.expected import problems_of
from pipeline.sets.repeats import REPEATS_SCHEMA, Starts, repeated_rows, repeats_message
from pipeline.sets.source import Expect
from pipeline.sets.unify import retyped, unify, values_of

AFTER = ("read",)
_COUNTED = ("samples", "classes")


@dataclass(frozen=True, slots=True)
class Identity:
    """What decides a unit's bytes: the set's parts, what to do with repeated uids, what is expected, the encoder.

    `notes` is what is said about the set's files.
    """

    name: str
    parts: tuple[str, ...]
    duplicates: Literal["error", "keep_first", "keep_all"]
    expect: Json | None
    encoder_name: str
    encoder: Json | None
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """The parts' files, what reading found, and the set's path and shards for messages."""

    parts: tuple[str, ...]
    facts: Json
    path: str
    starts: Starts


def plan(run: RunContext) -> Iterator[list[Work[Identity, Settings]]]:
    """List one unit per set."""
    works = []
    for name, source in run.sets().items():
        read = {number: run.record("read", unit_name(name, number)) for number, _ in groups_of(run, name)}
        records = list(read.values())
        under = layout.folder(layout.samples(name, 0))
        identity = Identity(
            name,
            tuple(digests(records, under)),
            source.duplicates if name in ("pool", *sets_of_rules(run)) else "keep_all",
            _expected(source.expect),
            encoder_name(run.plan, name),
            _one_encoder(name, records),
            tuple(note for shard in run.shards(name) for note in shard.notes),
        )
        facts = {
            "rows": sum(record.facts["rows"] for record in records),
            "failed": merged_counts([record.facts["lost"]["failed"] for record in records]),
            "quarantined": merged_counts([record.facts["lost"]["quarantined"] for record in records]),
            "notes": _noted(records),
        }
        starts = {number: tuple(map(tuple, record.facts["shards"])) for number, record in read.items()}
        rows = run.outputs(paths(records, under))
        settings = Settings(tuple(run.path(file.path) for file in rows), facts, source.path, starts)
        works.append(Work("catalog", name, identity, settings, run.place, committed=rows, rows=facts["rows"]))
    yield works


def _expected(expect: Expect | None) -> Json | None:
    """Say what is expected; what came to be asked later only where it is, so that records of before hold."""
    told = expect.model_dump(mode="json") if expect is not None else None
    return told and {key: value for key, value in told.items() if value is not None or key in _COUNTED}


def _noted(records: list[Record]) -> list[str]:
    """Say what reading noted, each thing once, and what it counted, added up over the parts."""
    odd = merged_counts([record.facts["odd"] for record in records])
    notes = {note for record in records for note in record.facts["notes"]}
    return sorted(notes) + [f"{count:,} {what}" for what, count in sorted(odd.items())]


def _one_encoder(name: str, records: list[Record]) -> Json | None:
    found = {
        json.dumps(r.facts["encoder"], sort_keys=True) for r in records if r.facts["encoder"] is not None
    }
    if len(found) > 1:
        raise DataError(
            f"the parts of {name} were embedded by different encoders: {', '.join(sorted(found))}"
        )
    return dict(json.loads(found.pop())) if found else None


def expect(run: RunContext, rates: Rates) -> Cost:
    """One unit a set."""
    return Cost(len(run.sets()), rows=sum(rows_of(run, name) for name in run.sets()))


def perform(work: Work[Identity, Settings], into: Attempt) -> Json:
    """Check one set; write its repeated rows and, where nearfar embedded it, its encoder's fingerprint."""
    identity, facts = work.identity, work.settings.facts
    where = f"{identity.name} ({work.settings.path})"
    if facts["rows"] == 0:
        raise DataError(_empty(identity.name, where, facts))
    parts = files(work.settings.parts)
    with connect(Path(work.place.out), work.place.memory_limit, work.place.threads) as db:
        _check_expected(db, where, identity.expect, parts, facts["rows"])
        kept = identity.duplicates == "keep_all"
        repeated = REPEATS_SCHEMA.empty_table() if kept else repeated_rows(db, parts)
        if len(repeated) and identity.duplicates == "error":
            raise DataError(repeats_message(db, where, parts, repeated, work.settings.starts))
    relative = layout.duplicates(identity.name)
    into.add(relative, rows=write_parquet(into.file(relative), repeated, REPEATS_SCHEMA))
    if identity.encoder is not None:
        relative = layout.encoder_fingerprint(identity.name, identity.encoder_name)
        into.file(relative).write_text(json.dumps(identity.encoder, indent=2, sort_keys=True) + "\n")
        into.add(relative)
    schemas = [parquet_schema(path) for path in work.settings.parts]
    other = retyped(schemas, unify(schemas, values_of(work.settings.parts))) if schemas else []
    return facts | {
        "duplicates": len(repeated),
        "notes": list(dict.fromkeys([*identity.notes, *other, *facts["notes"]])),
    }


def _empty(name: str, where: str, facts: Json) -> str:
    """Say that a set has no usable rows, and what would be wrong of a run that went on."""
    wrong = (
        "an audit of nothing would find nothing"
        if name == "pool"
        else "a comparison with nothing would call every sample far"
    )
    return f"{where} has no usable rows{_losses(facts)}; {wrong}, so the run stops: check the path and the format"


def _losses(facts: Json) -> str:
    lost = merged_counts([facts["failed"], facts["quarantined"]])
    return f" (lost: {', '.join(f'{count} {reason}' for reason, count in lost.items())})" if lost else ""


def _check_expected(db: Any, where: str, expect: Json | None, parts: list[str], rows: int) -> None:
    refuse_other_than_expected(where, problems_of(db, parts, expect or {}, rows))


def refuse_other_than_expected(where: str, found: Iterable[str]) -> None:
    """Refuse a set for what `problems_of` or `problems_in` found.

    Raises:
        DataError: If that is anything.
    """
    problems = list(found)
    if problems:
        raise DataError(
            f"{where} has {', and '.join(problems)}; complete the set, or correct `expect` in the plan"
        )


def check_encoders(run: RunContext) -> None:
    """Refuse to compare vectors of different encoders.

    Raises:
        DataError: If a set's vectors of an encoder differ in width from the pool's of the same, or both say who
            embedded them and it is not the same encoder.
    """
    wanted = wanted_vectors(run)
    for name, encoders in wanted.items():
        for encoder in encoders if name != "pool" else ():
            _compare(name, (_width(run, name, encoder), encoder_of(run, name, encoder)), run, encoder)


def _compare(name: str, own: tuple[int | None, Json | None], run: RunContext, encoder: str) -> None:
    width, made_by = own
    pool_width, pool_made_by = _width(run, "pool", encoder), encoder_of(run, "pool", encoder)
    if width is not None and pool_width is not None and width != pool_width:
        raise DataError(
            f"{name} has vectors of width {width}, the pool has {pool_width}: they come from different encoders; "
            "embed both with one"
        )
    if made_by is not None and pool_made_by is not None and made_by != pool_made_by:
        keys = sorted(made_by.keys() | pool_made_by.keys())
        differs = [key for key in keys if made_by.get(key) != pool_made_by.get(key)]
        raise DataError(
            f"{name} and the pool were embedded by different encoders (they differ in {', '.join(differs)}); "
            "similarities between them mean nothing: embed both with one"
        )


def _width(run: RunContext, name: str, encoder: str) -> int | None:
    """Look up the width of an encoder's image embeddings of a set, or None where it has no rows."""
    for _, shards in groups_of(run, name):
        for shard in shards:
            key = own_key(run, name, shard, encoder, "image")
            if key is not None:
                return int(shard.vectors[key].width)
    for record in _embedding_records(run, name, encoder):
        return int(record.facts["width"])
    return None


def _embedding_records(run: RunContext, name: str, encoder: str) -> Iterator[Record]:
    if encoder == encoder_name(run.plan, name):
        yield from (r for r in run.part_records("read", name) if r.facts["encoder"] is not None)
    folder = layout.embeddings(name, encoder)
    yield from (r for r in run.records("embed") if r.outputs[0].path.startswith(f"{folder}/"))


def encoder_of(run: RunContext, name: str, encoder: str = "") -> Json | None:
    """Look up the fingerprint of the encoder that made a set's vectors, or None where nobody wrote it down."""
    chosen = encoder or encoder_name(run.plan, name)
    for record in _embedding_records(run, name, chosen):
        return dict(record.facts["encoder"])
    beside = Path(run.sets()[name].path) / "fingerprint.json"
    if chosen == encoder_name(run.plan, name) and beside.is_file():
        return dict(json.loads(beside.read_text(encoding="utf-8")))
    return None
