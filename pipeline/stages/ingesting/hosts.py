"""What came of every URL, by host and reason, of a whole list. Planned by `ingest`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline import layout
from pipeline.commit import Attempt, Record, output_of
from pipeline.execution.work import Json, Place, Work
from pipeline.files.database import connect
from pipeline.files.parquet import write_parquet

_SQL = """
SELECT host, CASE reason WHEN '' THEN 'kept' ELSE 'failed' END AS outcome, nullif(reason, '') AS reason,
    sum(rows)::BIGINT AS rows
FROM read_parquet($files) GROUP BY ALL ORDER BY outcome, rows DESC, host, reason
"""


@dataclass(frozen=True, slots=True)
class Identity:
    """Digests of the pieces' counts."""

    counts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """Where they lie."""

    paths: tuple[str, ...]


def works(place: Place, fetched: Sequence[Record]) -> list[Work[Identity, Settings]]:
    """List one unit."""
    of = [output_of(record, layout.fetched_hosts(int(record.name))) for record in fetched]
    settings = Settings(tuple(str(place.path(one.path)) for one in of))
    identity = Identity(tuple(one.sha256 for one in of))
    return [Work("hosts", "all", identity, settings, place, committed=tuple(of))]


def perform(work: Work[Identity, Settings], into: Attempt) -> Json:
    """Add them up: what failed first, the host with most rows first."""
    place = work.place
    with connect(Path(place.out), place.memory_limit, place.threads, into.scratch()) as db:
        table = db.sql(_SQL, params={"files": list(work.settings.paths)}).to_arrow_table()
    relative = layout.hosts()
    into.add(relative, rows=write_parquet(into.file(relative), table, table.schema))
    return {"rows": len(table)}
