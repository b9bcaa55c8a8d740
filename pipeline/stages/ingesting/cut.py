"""A list of URLs in pieces of as many rows as a tar is to have. Planned by `ingest`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from pipeline import layout
from pipeline.commit import Attempt
from pipeline.execution.work import Json, Place, Work
from pipeline.fetching.url_lists import tables
from pipeline.files.inputs import Input
from pipeline.files.parquet import write_parquet


@dataclass(frozen=True, slots=True)
class Identity:
    """Number of the list's file, and rows of a piece."""

    file: int
    shard_rows: int


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the file is."""

    path: str


def works(place: Place, files: Sequence[Path], shard_rows: int) -> list[Work[Identity, Settings]]:
    """List one unit for each file of the list."""
    return [
        Work(
            "cut",
            f"{number:05d}",
            Identity(number, shard_rows),
            Settings(str(file)),
            place,
            (Input(str(file), file.name, bytes=file.stat().st_size),),
        )
        for number, file in enumerate(files)
    ]


def perform(work: Work[Identity, Settings], into: Attempt) -> Json:
    """Write the pieces."""
    rows = []
    for number, piece in enumerate(_pieces(tables(Path(work.settings.path)), work.identity.shard_rows)):
        relative = layout.listed_urls(work.identity.file, number)
        into.add(relative, rows=write_parquet(into.file(relative), piece, piece.schema))
        rows.append(len(piece))
    return {"rows": rows}


def _pieces(found: Iterable[pa.Table], size: int) -> Iterator[pa.Table]:
    """Put tables together and cut them again; a piece has the columns that its tables have."""
    held: list[pa.Table] = []
    count = 0
    for table in found:
        while len(table):
            taken = table.slice(0, size - count)
            held.append(taken)
            count += len(taken)
            table = table.slice(len(taken))
            if count == size:
                yield pa.concat_tables(held, promote_options="permissive").combine_chunks()
                held, count = [], 0
    if count:
        yield pa.concat_tables(held, promote_options="permissive").combine_chunks()
