"""The images of one piece of a list, as img2dataset lays them out: a tar, a Parquet of every row, and counts.

What a unit commits depends on what servers answered, and is not asked for again: a row that failed is tried again only
where the user says so, and then the images that are there are taken over. Planned by `ingest`.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from indexes.errors import RunFailedError
from pipeline import layout
from pipeline.commit import Attempt, Record, output_of, read_record
from pipeline.commit.sound import is_sound
from pipeline.execution.work import Json, Place, Work
from pipeline.fetching.crew import Crew, Fetched, Row
from pipeline.fetching.denied import read_denied
from pipeline.fetching.spool import Spool
from pipeline.fetching.taken_over import earlier_images
from pipeline.files.parquet import read_parquet, write_parquet
from pipeline.files.storage import output_errors
from pipeline.sets.ingest_request import IngestRequest
from pipeline.webdataset.tar_writing import TarStream

_BUFFER = 1 << 20
_MANY_HOSTS = 100
"""Of which at least one is there: of those that old lists name, two thirds are."""
SUCCESS = "success"


@dataclass(frozen=True, slots=True)
class Identity:
    """What decides what is asked for.

    Attributes:
        number: Number of the piece.
        urls: sha256 of the piece.
        image_size: Larger side of an image at most; None keeps files as they come.
        body_bytes: Bytes of a file at most.
        pixels: Pixels of an image at most.
        denied: Digests of the deny lists.
        loopback: Whether this machine's addresses are asked.
        attempt: How often rows that failed were tried again on request.
    """

    number: int
    urls: str
    image_size: int | None
    body_bytes: int
    pixels: int
    denied: tuple[tuple[str, str], ...]
    loopback: bool
    attempt: int


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the piece lies, and how to ask."""

    urls: str
    request: Json


def works(
    place: Place,
    pieces: Sequence[Record],
    request: IngestRequest,
    denied: tuple[tuple[str, str], ...],
    attempts: dict[str, int],
) -> list[Work[Identity, Settings]]:
    """List one unit for each piece; `attempts` says by name which were tried again, or are to be now."""
    made: list[Work[Identity, Settings]] = []
    for record in pieces:
        for at, rows in enumerate(record.facts["rows"]):
            number, piece = len(made), output_of(record, layout.listed_urls(int(record.name), at))
            name = f"{number:05d}"
            identity = Identity(
                number,
                piece.sha256,
                request.image_size,
                request.body_bytes,
                request.pixels,
                denied,
                request.loopback,
                attempts.get(name, 0),
            )
            settings = Settings(str(place.path(piece.path)), request.model_dump(mode="json"))
            made.append(Work("fetch", name, identity, settings, place, committed=(piece,), rows=rows))
    return made


def perform(work: Work[Identity, Settings], into: Attempt) -> Json:
    """Fetch what is asked for, and write it in the list's order."""
    request, number = IngestRequest(**work.settings.request), work.identity.number
    table = read_parquet(Path(work.settings.urls))
    rows = [
        Row(at, url or "", expected)
        for at, (url, expected) in enumerate(
            zip(table.column("url").to_pylist(), _digests(table), strict=True)
        )
    ]
    with Spool(into.scratch() / "bodies") as spool:
        found: dict[int, Fetched] = {}
        if _goes_on(work):
            found = earlier_images(work.place.path(layout.fetched(number, "tar")), spool)
        with Crew(request, read_denied(request.deny), spool, work.place.threads) as crew:
            asked = crew.fetch([row for row in rows if row.at not in found])
        if not work.identity.attempt:  # what is asked for again may well be gone
            _check_network(asked.values())
        found |= asked
        keys = [f"{number:05d}{at:0{len(str(request.shard_rows - 1))}d}" for at in range(len(rows))]
        sidecar = _sidecar(table, keys, [found[row.at] for row in rows])
        _write_tar(into, number, sidecar, spool, [found[row.at] for row in rows])
    relative = layout.fetched(number, "parquet")
    into.add(relative, rows=write_parquet(into.file(relative), sidecar, sidecar.schema))
    return _write_counts(into, number, [found[row.at] for row in rows], work.identity.attempt)


def _check_network(asked: Collection[Fetched]) -> None:
    """Look whether anybody could be reached at all: what fails of this machine's network is not what the web is like.

    Raises:
        RunFailedError: If there were many hosts and no connection.
    """
    hosts = {one.host for one in asked if one.passing}
    if len(hosts) >= _MANY_HOSTS and not any(one.connected for one in asked):
        raise RunFailedError(
            f"none of {len(hosts):,} hosts of a piece could be reached. Look at this machine's network and its name "
            "server, and run again to resume; if these hosts are all gone, leave them out of the list"
        )


def _goes_on(work: Work[Identity, Settings]) -> bool:
    """Look whether images of the attempt before are what is asked for now, and what was committed.

    Under another list, other limits or other deny lists, all are fetched again.
    """
    out, before = Path(work.place.out), replace(work.identity, attempt=work.identity.attempt - 1)
    record = read_record(out, "fetch", work.name)
    if record is None or record.fingerprint != replace(work, identity=before).unit().fingerprint:
        return False
    return all(is_sound(out, output) for output in record.outputs)


def _digests(table: pa.Table) -> list[str | None]:
    """Read what the list says that an image's sha256 is; what is no text of 64 hex digits says nothing."""
    name = next((one for one in table.column_names if one.lower() == "listed_sha256"), None)
    values = [None] * len(table) if name is None else table.column(name).to_pylist()
    texts = (value.strip().lower() if isinstance(value, str) else "" for value in values)
    return [text if len(text) == 64 else None for text in texts]


def _sidecar(table: pa.Table, keys: list[str], found: list[Fetched]) -> pa.Table:
    """Put img2dataset's columns behind the list's own."""
    columns = {name: table.column(name) for name in table.column_names}
    columns["url"] = pa.array([one.url for one in found], pa.string())
    columns["key"] = pa.array(keys, pa.string())
    columns["status"] = pa.array([one.status for one in found], pa.string())
    columns["error_message"] = pa.array([one.reason for one in found], pa.string())
    for name in ("width", "height", "original_width", "original_height"):
        columns[name] = pa.array([getattr(one, name) for one in found], pa.int32())
    for name in ("sha256", "final_url"):
        columns[name] = pa.array([getattr(one, name) for one in found], pa.string())
    return pa.table(columns)


def json_of(row: Json) -> bytes:
    """Write a row as img2dataset does; a number that is none, which JSON does not know, becomes null."""
    try:
        return json.dumps(row, indent=4, default=str, allow_nan=False).encode()
    except ValueError:
        return json.dumps(_finite(row), indent=4, default=str, allow_nan=False).encode()


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list | tuple) else value


def _write_tar(into: Attempt, number: int, sidecar: pa.Table, spool: Spool, found: Sequence[Fetched]) -> None:
    relative = layout.fetched(number, "tar")
    path = into.file(relative)
    with output_errors(path), path.open("xb", buffering=_BUFFER) as stream:
        tar = TarStream(stream)
        for start in range(0, len(found), 1000):
            for row, one in zip(sidecar.slice(start, 1000).to_pylist(), found[start:], strict=False):
                if one.status != SUCCESS or one.place is None:
                    continue
                tar.add(f"{row['key']}.{one.kind}", spool.read(one.place))
                tar.add(f"{row['key']}.json", json_of(row))
                if row["caption"] is not None:
                    tar.add(f"{row['key']}.txt", row["caption"].encode())
        tar.close()
    into.add(relative, rows=None)


def _write_counts(into: Attempt, number: int, found: Sequence[Fetched], attempt: int) -> Json:
    outcomes = Counter(one.status for one in found)
    counts: Json = {
        "count": len(found),
        "successes": outcomes[SUCCESS],
        "failed_to_download": outcomes["failed_to_download"],
        "failed_to_resize": outcomes["failed_to_resize"],
        "status_dict": dict(sorted(Counter(one.reason or SUCCESS for one in found).items())),
    }
    relative = layout.fetched(number, "stats")
    into.file(relative).write_text(f"{json.dumps(counts, indent=1, sort_keys=True)}\n", encoding="utf-8")
    into.add(relative)
    hosts = Counter((one.host, one.reason or "") for one in found)
    relative = layout.fetched_hosts(number)
    listed = [(host, reason, count) for (host, reason), count in sorted(hosts.items())]
    table = pa.table(
        {
            "host": pa.array([one[0] for one in listed], pa.string()),
            "reason": pa.array([one[1] for one in listed], pa.string()),
            "rows": pa.array([one[2] for one in listed], pa.int64()),
        }
    )
    into.add(relative, rows=write_parquet(into.file(relative), table, table.schema))
    passing = sum(one.passing for one in found)
    return counts | {"passing": passing, "attempt": attempt, "rows": len(found)}
