"""A sorted stream of rows as numbered Parquet files, written side by side, in bounded memory."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias

import pyarrow as pa

from pipeline.commit import Attempt
from pipeline.files.digests import sha256_of
from pipeline.files.parquet import write_parquet

FILE_ROWS = 1_000_000
IN_FLIGHT = 32 << 20
"""Bytes of rows that may wait for the writers; a writer holds a row group more."""

# pyarrow ships no types.
Batch: TypeAlias = Any


@dataclass(frozen=True, slots=True)
class Written:
    """One file, as `split.json` lists it."""

    path: str
    rows: int
    bytes: int
    sha256: str

    def facts(self) -> dict[str, Any]:
        """Describe the file, without its path."""
        return {"rows": self.rows, "bytes": self.bytes, "sha256": self.sha256}


@dataclass(frozen=True, slots=True)
class Target:
    """Files to write: `<folder>/<stem>-0000.parquet` and on, each row group made by `shape`."""

    attempt: Attempt
    stem: str
    schema: Any
    shape: Callable[[Batch], pa.Table]


class _StoppedError(Exception):
    """A writer failed; its own error follows."""


class _Belt:
    """Batches on their way to writers: whoever puts waits while too many bytes are under way."""

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._bytes = 0
        self._failed = False

    def load(self, size: int) -> None:
        with self._free:
            self._free.wait_for(lambda: self._failed or self._bytes == 0 or self._bytes + size <= IN_FLIGHT)
            if self._failed:
                raise _StoppedError
            self._bytes += size

    def unload(self, size: int) -> None:
        with self._free:
            self._bytes -= size
            self._free.notify()

    def fail(self) -> None:
        with self._free:
            self._failed = True
            self._free.notify()


def write_files(target: Target, batches: Iterable[Batch], threads: int) -> tuple[Written, ...]:
    """Write a stream of record batches into files of `FILE_ROWS` rows; at least one file, which may be empty.

    The bytes depend on the rows alone: not on how they are batched, nor on `threads`.
    """
    belt = _Belt()
    with ThreadPoolExecutor(max(threads, 1)) as writers:
        started: list[Future[Written]] = []
        waiting: queue.SimpleQueue[Batch | None] | None = None
        try:
            for number, piece in _numbered(batches):
                if number == len(started):
                    if waiting is not None:
                        waiting.put(None)
                    waiting = queue.SimpleQueue()
                    started.append(writers.submit(_write_one, target, number, waiting, belt))
                if piece is not None:
                    belt.load(piece.nbytes)
                    waiting.put(piece)  # type: ignore[union-attr]
        except _StoppedError:
            pass
        finally:
            if waiting is not None:
                waiting.put(None)
        files = tuple(future.result() for future in started)
    for file in files:
        target.attempt.add(file.path, rows=file.rows)
    return files


def _numbered(batches: Iterable[Batch]) -> Iterator[tuple[int, Batch | None]]:
    """Cut batches at the ends of files; the first comes even if there is no row."""
    yield 0, None
    rows = 0
    for batch in batches:
        start = 0
        while start < batch.num_rows:
            room = FILE_ROWS - rows % FILE_ROWS
            piece = batch.slice(start, room)
            yield rows // FILE_ROWS, piece
            start += piece.num_rows
            rows += piece.num_rows


def _write_one(target: Target, number: int, waiting: queue.SimpleQueue[Batch | None], belt: _Belt) -> Written:
    relative = f"{target.stem}-{number:04d}.parquet"
    path = target.attempt.file(relative)

    def tables() -> Iterator[pa.Table]:
        while (batch := waiting.get()) is not None:
            yield target.shape(batch)
            belt.unload(batch.nbytes)

    try:
        rows = write_parquet(path, tables(), target.schema)
    except BaseException:
        belt.fail()
        raise
    return Written(relative, rows, path.stat().st_size, sha256_of(path))
