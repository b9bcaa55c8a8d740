"""Writing a stream as files: the same bytes however it comes, and an end when a writer fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from indexes.errors import ShapeError
from pipeline.commit import Unit, attempt
from pipeline.splits import emit
from pipeline.splits.emit import Target, write_files

SCHEMA = pa.schema([("n", pa.int64())])


def batches(sizes: list[int]) -> Iterator[Any]:
    start = 0
    for size in sizes:
        yield pa.record_batch({"n": list(range(start, start + size))}, schema=SCHEMA)
        start += size


def write(out: Path, sizes: list[int], threads: int) -> list[tuple[int, str]]:
    with attempt(out, Unit("split", "x", "test")) as into:
        target = Target(into, "part", SCHEMA, lambda batch: pa.Table.from_batches([batch]))
        return [(file.rows, file.sha256) for file in write_files(target, batches(sizes), threads)]


def test_batches_and_threads_change_no_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emit, "FILE_ROWS", 100)
    want = write(tmp_path, [250], 1)
    assert [rows for rows, _ in want] == [100, 100, 50]
    for sizes in ([1] * 250, [0, 99, 1, 0, 150], [100, 100, 50], [249, 1]):
        for in_flight in (1, 1 << 30):
            monkeypatch.setattr(emit, "IN_FLIGHT", in_flight)
            assert write(tmp_path, sizes, 3) == want


def test_no_rows_are_one_empty_file(tmp_path: Path) -> None:
    assert [rows for rows, _ in write(tmp_path, [], 2)] == [0]
    assert [rows for rows, _ in write(tmp_path, [0, 0], 2)] == [0]


def test_a_full_last_file_is_not_followed_by_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emit, "FILE_ROWS", 100)
    assert [rows for rows, _ in write(tmp_path, [100, 100], 2)] == [100, 100]


def test_a_writer_that_fails_ends_the_work_with_its_own_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emit, "FILE_ROWS", 100)
    monkeypatch.setattr(emit, "IN_FLIGHT", 1)
    taken = []

    def shape(batch: Any) -> pa.Table:
        if batch.column("n")[0].as_py() >= 300:
            raise ShapeError("no more")
        return pa.Table.from_batches([batch])

    def endless() -> Iterator[Any]:
        for batch in batches([10] * 100_000):
            taken.append(1)
            yield batch

    with attempt(tmp_path, Unit("split", "x", "test")) as into, pytest.raises(ShapeError, match="no more"):
        write_files(Target(into, "part", SCHEMA, shape), endless(), 2)
    assert len(taken) < 1000


def test_a_stream_that_fails_ends_the_writers(tmp_path: Path) -> None:
    def broken() -> Iterator[Any]:
        yield from batches([10])
        raise OSError("gone")

    with attempt(tmp_path, Unit("split", "x", "test")) as into, pytest.raises(OSError, match="gone"):
        write_files(Target(into, "part", SCHEMA, lambda batch: pa.Table.from_batches([batch])), broken(), 2)
