"""Each set as a whole: are there rows, do counts match, is every uid there once, do all encoders agree."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from indexes.errors import DataError
from pipeline.commit import Attempt, Record
from pipeline.execution.work import Json, RunContext, Work, merged_counts, output_digests, output_paths
from pipeline.files.database import connect, files
from pipeline.files.parquet import write_parquet
from pipeline.sets.uids import as_hex

DUPLICATES_SCHEMA = pa.schema([("part", pa.int32()), ("row", pa.int64()), ("uid", pa.uuid())])


def plan(run: RunContext) -> Iterator[list[Work]]:
    """List one unit per set."""
    works = []
    for name, source in run.sets().items():
        records = run.records("read", f"{name}-")
        identity: Json = {
            "set": name,
            "parts": output_digests(records, f"samples/{name}/part-"),
            "duplicates": source.duplicates if name == "pool" else "keep_all",
            "expect": source.expect.model_dump() if source.expect else None,
            "encoder": _one_encoder(name, records),
        }
        facts = {
            "rows": sum(record.facts["rows"] for record in records),
            "failed": merged_counts([record.facts["lost"]["failed"] for record in records]),
            "quarantined": merged_counts([record.facts["lost"]["quarantined"] for record in records]),
            "notes": sorted({note for record in records for note in record.facts["notes"]}),
        }
        paths = [run.path(path) for path in output_paths(records, f"samples/{name}/part-")]
        settings = run.settings | {"parts": paths, "facts": facts, "where": source.path}
        works.append(Work("catalog", name, identity, settings, rows=facts["rows"]))
    yield works


def _one_encoder(name: str, records: list[Record]) -> Json | None:
    found = {
        json.dumps(record.facts["encoder"], sort_keys=True) for record in records if "encoder" in record.facts
    }
    if len(found) > 1:
        raise DataError(
            f"the parts of {name} were embedded by different encoders: {', '.join(sorted(found))}"
        )
    return dict(json.loads(found.pop())) if found else None


def perform(work: Work, into: Attempt) -> Json:
    """Check one set; write its repeated rows and, where nearfar embedded it, its encoder's fingerprint."""
    name = work.identity["set"]
    facts: Json = work.settings["facts"]
    where = f"{name} ({work.settings['where']})"
    if facts["rows"] == 0 and name != "pool":
        raise DataError(
            f"{where} has no usable rows{_losses(facts)}; a comparison with nothing would call every sample far, "
            "so the run stops: check the path and the format"
        )
    parts = files(work.settings["parts"])
    with connect(Path(work.settings["out"]), work.settings["memory_limit"], work.settings["threads"]) as db:
        _check_expected(db, where, work.identity["expect"], parts, facts["rows"])
        repeated = _repeated(db, parts) if name == "pool" else DUPLICATES_SCHEMA.empty_table()
    if len(repeated) and work.identity["duplicates"] == "error":
        raise DataError(_duplicates_message(where, repeated))
    relative = f"samples/{name}/duplicates.parquet"
    into.add(relative, rows=write_parquet(into.file(relative), repeated, DUPLICATES_SCHEMA))
    if work.identity["encoder"] is not None:
        relative = f"embeddings/{name}/fingerprint.json"
        into.file(relative).write_text(json.dumps(work.identity["encoder"], indent=2, sort_keys=True) + "\n")
        into.add(relative)
    return facts | {"duplicates": len(repeated)}


def _losses(facts: Json) -> str:
    lost = merged_counts([facts["failed"], facts["quarantined"]])
    return f" (lost: {', '.join(f'{count} {reason}' for reason, count in lost.items())})" if lost else ""


def _check_expected(db: Any, where: str, expect: Json | None, parts: list[str], rows: int) -> None:
    for what, wanted in (expect or {}).items():
        if wanted is None:
            continue
        got = rows
        if what == "classes":
            query = "SELECT count(DISTINCT label) FROM read_parquet($parts, hive_partitioning = false)"
            got = db.execute(query, {"parts": parts}).fetchall()[0][0]
        if got != wanted:
            raise DataError(
                f"{where} has {got} {what}, expected {wanted}; complete the set, or correct `expect` in the plan"
            )


def _repeated(db: Any, parts: list[str]) -> pa.Table:
    """Find the later rows of each repeated uid, ordered by (part, row): `keep_first` keeps the first of each."""
    query = """
        WITH repeated AS (
            SELECT uid FROM read_parquet($parts, hive_partitioning = false) GROUP BY uid HAVING count(*) > 1
        )
        SELECT part, "row", uid FROM read_parquet($parts, hive_partitioning = false) SEMI JOIN repeated USING (uid)
        QUALIFY row_number() OVER (PARTITION BY uid ORDER BY part, "row") > 1
        ORDER BY part, "row"
    """
    if not parts:
        return DUPLICATES_SCHEMA.empty_table()
    return db.sql(query, params={"parts": parts}).to_arrow_table().cast(DUPLICATES_SCHEMA)


def _duplicates_message(where: str, repeated: pa.Table) -> str:
    first = as_hex(repeated.column("uid").slice(0, 5)).to_pylist()
    places = [
        f"{uid} (part {part})" for uid, part in zip(first, repeated.column("part").to_pylist(), strict=False)
    ]
    return (
        f"{where} has {len(repeated)} rows whose uid occurred before, the first: {', '.join(places)}; "
        "a uid names one sample. Set pool.duplicates: keep_first to keep the first of each, or clean the pool"
    )


def check_encoders(run: RunContext) -> None:
    """Refuse to compare vectors of different encoders.

    Raises:
        DataError: If two sets' widths differ, or both say who embedded them and it is not the same encoder.
    """
    pool_width, pool_encoder = width_of(run, "pool"), encoder_of(run, "pool")
    for name in run.sets():
        width, encoder = width_of(run, name), encoder_of(run, name)
        if width is not None and pool_width is not None and width != pool_width:
            raise DataError(
                f"{name} has vectors of width {width}, the pool has {pool_width}: they come from different encoders; "
                "embed both with one"
            )
        if encoder is not None and pool_encoder is not None and encoder != pool_encoder:
            differs = [
                key
                for key in sorted(encoder.keys() | pool_encoder.keys())
                if encoder.get(key) != pool_encoder.get(key)
            ]
            raise DataError(
                f"{name} and the pool were embedded by different encoders (they differ in {', '.join(differs)}); "
                "similarities between them mean nothing: embed both with one"
            )


def width_of(run: RunContext, name: str) -> int | None:
    """Give the width of a set's vectors, or None where it brings no rows."""
    widths = {record.facts["width"] for record in run.records("read", f"{name}-")} - {None}
    return min(widths) if widths else None


def encoder_of(run: RunContext, name: str) -> Json | None:
    """Give the fingerprint of the encoder that made a set's vectors, or None where nobody wrote it down."""
    for record in run.records("read", f"{name}-"):
        if "encoder" in record.facts:
            return dict(record.facts["encoder"])
    beside = Path(run.sets()[name].path) / "fingerprint.json"
    return dict(json.loads(beside.read_text(encoding="utf-8"))) if beside.is_file() else None
