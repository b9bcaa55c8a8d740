"""A pool that `nearfar ingest` fetched: its files against its records, and its tars against the list that it came of.

What servers answered is not asked for again. But of every URL the pool says what it came to, and each image that it
keeps: of which bytes, of which size. These are held against one another, piece by piece, by Python's own tar reader.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from indexes.errors import NearfarError, OutputError
from pipeline import layout
from pipeline.commit import Record, commit_folder, record_file, records
from pipeline.execution.display.redaction import redact
from pipeline.execution.work import Json, Place
from pipeline.files.images import decoded
from pipeline.files.parquet import read_parquet
from pipeline.incoming.lists import STAGES, ingested
from pipeline.stages.ingesting import hosts
from pipeline.stages.ingesting.fetch import SUCCESS, json_of
from pipeline.verifying.done_again import do_again
from pipeline.verifying.file_differences import json_differs, tables_differ
from pipeline.verifying.verification import Verification
from pipeline.verifying.walk import hashed, standing

_OWN = (
    "url",
    "key",
    "status",
    "error_message",
    "width",
    "height",
    "original_width",
    "original_height",
    "sha256",
    "final_url",
)
"""Columns that a fetch writes; the others are the list's."""
_SHOWN = 3
_BESIDE = ("json", "txt")


def is_fetched(out: Path) -> bool:
    """Tell whether a folder is what `nearfar ingest` made."""
    return bool(records(out, "cut")) or (out / commit_folder("fetch")).is_dir()


def verify_fetched(out: Path, result: Verification) -> None:
    """Verify a fetched pool.

    Raises:
        OutputError: If the list was not fetched to its end.
    """
    for stage in STAGES:
        _hash(out, stage, result)
    if result.problems:
        return
    if not ingested(out):
        raise OutputError(
            f"{out} holds a list that was not fetched to its end; run the same nearfar ingest again, which goes on "
            "where it stopped"
        )
    fetched, pieces = records(out, "fetch"), list(_pieces(out))
    if [int(record.name) for record in fetched] != list(range(len(pieces))):
        result.problems.append(f"{len(fetched):,} pieces were fetched of a list that has {len(pieces):,}")
        result.doubtful = True
        return
    for record, piece in zip(fetched, pieces, strict=True):
        wrong = list(_wrong(out, record, piece, result))
        result.problems += wrong
        result.wrong += [record.label] if wrong else []
    work = hosts.works(Place(str(out), "cpu"), fetched)
    if standing(out, work[0], result) is None:
        result.problems.append(f"{layout.hosts()} is of other pieces than those that are there")
        result.wrong.append(work[0].label)
    else:
        do_again([work], None, 0, result)


def _hash(out: Path, stage: str, result: Verification) -> None:
    there = {record_file(record.name): record for record in records(out, stage)}
    for file in sorted((out / commit_folder(stage)).glob("*.json")):
        if file.name not in there:
            path = file.relative_to(out)
            result.problems.append(f"{path} is not what was committed: it does not agree with its own digest")
            result.damaged.append(f"{stage}/{file.stem}")
    for record in there.values():
        result.walked.append(record.label)
        if not hashed(out, record, result):
            result.damaged.append(record.label)


def _pieces(out: Path) -> Iterator[str]:
    for record in records(out, "cut"):
        yield from (layout.listed_urls(int(record.name), at) for at in range(len(record.facts["rows"])))


def _wrong(out: Path, record: Record, piece: str, result: Verification) -> Iterator[str]:
    """Say what of a piece does not agree: its list, its table, its tar, its counts."""
    number = int(record.name)
    table, listed = (read_parquet(out / path) for path in (layout.fetched(number, "parquet"), piece))
    where = layout.fetched(number, "parquet")
    if len(table) != len(listed):
        yield f"{where} has {len(table):,} rows, and its list has {len(listed):,}"
        return
    yield from _of_list(where, table, listed, number)
    try:
        yield from _of_tar(out / layout.fetched(number, "tar"), layout.fetched(number, "tar"), table, result)
    except (tarfile.TarError, OSError) as error:
        yield f"{layout.fetched(number, 'tar')} is no whole tar: {error}"
    counts = _counts(table)
    path = layout.fetched(number, "stats")
    yield from (f"{path}: {text}" for text in json_differs(json.loads((out / path).read_bytes()), counts))
    facts = {name: record.facts[name] for name in counts}
    yield from (f"the record of {record.label}: {text}" for text in json_differs(facts, counts))
    yield from _of_hosts(out, number, table)


def _of_list(where: str, table: pa.Table, listed: pa.Table, number: int) -> Iterator[str]:
    """Compare the columns that the list has, its URLs without passwords, and the keys."""
    own = [name for name in listed.column_names if name not in _OWN]
    yield from _first(f"{where}: ", tables_differ(table.select(own), listed.select(own)))
    urls = [redact(url or "") for url in listed.column("url").to_pylist()]
    for row, (url, key) in enumerate(zip(urls, table.column("key").to_pylist(), strict=True)):
        got = table.column("url")[row].as_py()
        if got != url:
            yield f"{where}: url in row {row:,} is {got!r}, and the list has {url!r}"
        if key[:5] != f"{number:05d}" or int(key[5:]) != row:
            yield f"{where}: key in row {row:,} is {key!r}"


def _of_tar(path: Path, where: str, table: pa.Table, result: Verification) -> Iterator[str]:
    """Compare the members of a tar with the rows that say that they came, in their order."""
    with tarfile.open(path, "r:") as tar:
        members = iter(tar)
        for row in table.to_pylist():
            if row["status"] != SUCCESS:
                continue
            result.images += 1
            image = next(members, None)
            name, _, kind = ("", "", "") if image is None else image.name.rpartition(".")
            if image is None or name != row["key"] or kind in _BESIDE:
                yield f"{where} has no image of {row['key']}, where the table says that it came"
                return
            text = _of_image(_content(tar, image), kind, row)
            if text:
                yield f"{where}: {image.name} {text}"
            beside = {"json": json_of(row)}
            beside |= {"txt": row["caption"].encode()} if row["caption"] is not None else {}
            for ending, content in beside.items():
                member = next(members, None)
                same = member is not None and member.name == f"{name}.{ending}"
                if member is None or not same or not _says(_content(tar, member), content, ending):
                    yield f"{where}: {name}.{ending} is not what the table says of it"
        more = next(members, None)
        if more is not None:
            yield f"{where} has {more.name}, of which the table does not say that it came"


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = tar.extractfile(member)
    return b"" if stream is None else stream.read()


def _says(content: bytes, wanted: bytes, ending: str) -> bool:
    """Compare what stands beside an image; older pools have NaN in their JSON, where null stands now."""
    if content == wanted or ending != "json":
        return content == wanted
    try:
        return bool(json.loads(content, parse_constant=lambda _: None) == json.loads(wanted))
    except ValueError:
        return False


def _of_image(content: bytes, kind: str, row: Json) -> str:
    """Say what is wrong with an image: kept as it came, its bytes are known; made anew, its size alone."""
    if hashlib.sha256(content).hexdigest() == row["sha256"]:
        return ""
    as_it_came = (row["width"], row["height"]) == (row["original_width"], row["original_height"])
    if as_it_came and kind != "png":  # of a GIF, the first frame becomes a PNG
        return "is not the image whose sha256 the table has"
    try:
        size = decoded(content)[1].size
    except NearfarError as error:
        return f"cannot be decoded: {error}"
    wanted = (row["width"], row["height"])
    return "" if size == wanted else f"is {size[0]} x {size[1]}, and the table says {wanted[0]} x {wanted[1]}"


def _counts(table: pa.Table) -> Json:
    """Count a table's rows as its counts should be."""
    status, reasons = (table.column(name).to_pylist() for name in ("status", "error_message"))
    outcomes = Counter(status)
    return {
        "count": len(table),
        "successes": outcomes[SUCCESS],
        "failed_to_download": outcomes["failed_to_download"],
        "failed_to_resize": outcomes["failed_to_resize"],
        "status_dict": dict(Counter(reason or SUCCESS for reason in reasons)),
    }


def _of_hosts(out: Path, number: int, table: pa.Table) -> Iterator[str]:
    """Compare how many rows came to what, over all hosts."""
    path = layout.fetched_hosts(number)
    held: Counter[str] = Counter()
    for row in read_parquet(out / path).to_pylist():
        held[row["reason"]] += row["rows"]
    wanted = Counter(reason or "" for reason in table.column("error_message").to_pylist())
    yield from (f"{path}: {text}" for text in json_differs(dict(held), dict(wanted)))


def _first(before: str, found: Iterator[str]) -> Iterator[str]:
    for _, text in zip(range(_SHOWN), found, strict=False):
        yield f"{before}{text}"
