"""A pass over a part: what overlaps with what changes nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from indexes.canonical import canonical
from indexes.errors import DataError
from indexes.queries import Queries
from indexes.scores import Scores
from indexes.search import ScanOptions, open_scanner
from pipeline.execution.tasks import perform
from pipeline.files.parquet import write_parquet
from pipeline.files.vectors import inspect
from pipeline.sets.samples import Part
from pipeline.sets.uids import from_pairs
from pipeline.stages import _scan
from pipeline.stages._parts import grouped
from pipeline.stages._scan import Seen, healthy_blocks, neighbour_table, scan_parts

ROWS, WIDTH, BLOCK = 100, 8, 16
SKIP = (5, 40)
BAD = {3: np.nan, 17: np.inf, 60: 0.0}


def stored(dtype: str = "<f2") -> NDArray[np.floating]:
    """Unit vectors, some stretched, with three that cannot be compared."""
    made = np.random.default_rng(3).standard_normal((ROWS, WIDTH))
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    made[20:25] *= 3
    for row, value in BAD.items():
        made[row] = value
    return made.astype(dtype)


@pytest.fixture(params=["v.npy", "v.npz", "packed.npz", "single.npy"])
def part(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Part:
    monkeypatch.setattr(_scan, "BLOCK", BLOCK)
    path = tmp_path / request.param
    if path.suffix == ".npz":
        (np.savez_compressed if path.stem == "packed" else np.savez)(path, a=stored())
    else:
        np.save(path, stored("<f4" if path.stem == "single" else "<f2"))
    return part_of(path)


def part_of(path: Path, rows: int = ROWS) -> Part:
    numbers = np.arange(rows, dtype=np.uint64)
    columns = {
        "uid": from_pairs(np.stack([numbers * 7919 % 101, numbers], axis=1)),
        "key": pa.array([f"k{number:03d}" for number in range(rows)], pa.string()),
        "row": numbers.astype(np.int64),
    }
    table = pa.table(columns)
    write_parquet(path.parent / "part.parquet", table, table.schema)
    return Part(str(path.parent / "part.parquet"), inspect(path), SKIP)


def queries() -> Queries:
    vectors = canonical(np.random.default_rng(4).standard_normal((9, WIDTH)).astype(np.float32)).vectors
    return Queries(vectors, ("a", "b"), np.array([0, 5, 9]), np.full(9, 0.3))


def kept_rows() -> list[int]:
    return [row for row in range(ROWS) if row not in SKIP and row not in BAD]


def our_threads() -> list[str]:
    """Threads of a pass; a scanner's own end with the scanner."""
    return [
        thread.name
        for thread in threading.enumerate()
        if thread.name.startswith(("nearfar-ahead", "nearfar-read"))
    ]


def test_a_pass_gives_what_a_plain_one_gives(part: Part) -> None:
    options = ScanOptions(k=3, threads=2)
    search, seen = open_scanner(queries(), options=options), Seen()
    found = list(scan_parts([("0000", part)], search, seen))
    rows = kept_rows()
    assert [key for _, samples, _ in found for key in samples.column("key").to_pylist()] == [
        f"k{row:03d}" for row in rows
    ]
    plain = open_scanner(queries(), options=options)
    uids = np.stack([np.array(rows) * 7919 % 101, rows], axis=1).astype(np.uint64)
    file = part.vectors
    assert file is not None
    expected = plain.scan(canonical(stored(file.dtype)[rows]).vectors, uids)
    for name in ("similarity", "nearest", "margin", "margin_query"):
        got = np.concatenate([getattr(scores, name) for _, _, scores in found])
        np.testing.assert_array_equal(got, getattr(expected, name))
    lists = neighbour_table(search, seen)
    assert lists.column("key").to_pylist() == [
        f"k{rows[position]:03d}" for position in plain.neighbours().position.reshape(-1)
    ]
    assert seen.facts() == {
        "compared": len(rows),
        "quarantined": {"nan": 1, "infinite": 1, "zero": 1},
        "normalised": 5,
    }
    assert our_threads() == []


def test_block_size_and_waiting_blocks_change_nothing(part: Part, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = []
    for rows, waiting in ((BLOCK, 1), (1, 7), (1000, 4), (33, 2)):
        monkeypatch.setattr(_scan, "BLOCK", rows)
        monkeypatch.setattr(_scan, "WAITING", waiting)
        search, seen = open_scanner(queries(), options=ScanOptions(k=5)), Seen()
        scores = [scores.similarity for _, _, scores in scan_parts([("0000", part)], search, seen)]
        tables.append((np.concatenate(scores).tobytes(), neighbour_table(search, seen), seen.facts()))
    assert all(table == tables[0] for table in tables)


def test_seen_knows_of_what_the_caller_was_given(part: Part) -> None:
    seen = Seen()
    for number, (samples, _) in enumerate(healthy_blocks([("0000", part)], seen), 1):
        time.sleep(0.01)
        assert len(seen.samples) == len(seen.quarantined["0000"]) == number
        assert seen.samples[-1] is samples
    search, seen = open_scanner(queries()), Seen()
    for number, _ in enumerate(scan_parts([("0000", part)], search, seen), 1):
        time.sleep(0.01)
        assert len(seen.samples) == number


def test_parts_one_after_the_other_are_one_stream(part: Part, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    np.save(tmp_path / "empty" / "v.npy", stored()[:0])
    nothing = part_of(tmp_path / "empty" / "v.npy", 0)
    parts = [("0003", part), ("0004", nothing), ("0007", part), ("0009", nothing)]
    search, seen = open_scanner(queries()), Seen()
    numbers, tables, scores = zip(*scan_parts(parts, search, seen), strict=True)
    assert list(dict.fromkeys(numbers)) == [number for number, _ in parts]
    rows = kept_rows()
    keys = [key for table in tables for key in table.column("key").to_pylist()]
    assert keys == 2 * [f"k{row:03d}" for row in rows]
    alone = open_scanner(queries())
    once = [found.margin for _, _, found in scan_parts(parts[:1], alone, Seen())]
    np.testing.assert_array_equal(
        np.concatenate([found.margin for found in scores]), np.concatenate(2 * once)
    )
    assert [len(seen.lost([number])) for number, _ in parts] == [3, 0, 3, 0]
    assert (len(seen.lost()), seen.facts()["compared"]) == (6, 2 * len(rows))
    assert neighbour_table(search, seen).num_rows == 9 * 10


@pytest.mark.parametrize(
    ("rows", "groups"),
    [
        ([], []),
        ([5], [[0]]),
        ([9, 1, 3], [[0, 1], [2]]),
        ([30, 2, 2, 2, 6], [[0], [1, 2, 3, 4]]),
        ([0, 0], [[0, 1]]),
    ],
)
def test_small_shards_are_taken_together(rows: list[int], groups: list[list[int]]) -> None:
    assert list(grouped(zip(rows, range(len(rows)), strict=True), 10)) == groups


class Slow:
    """A scanner that says which block it is at."""

    def __init__(self) -> None:
        self.begun = 0

    def scan(self, samples: NDArray[np.float16], uids: NDArray[np.uint64] | None = None) -> Scores:
        self.begun += 1
        time.sleep(0.01)
        empty = np.zeros((len(samples), 1))
        return Scores(empty, empty.astype(np.int32), None, None)

    def neighbours(self) -> None:
        """Never asked."""


def test_the_next_block_is_scanned_while_the_caller_works(part: Part) -> None:
    search = Slow()
    stream = scan_parts([("0000", part)], search, Seen())  # type: ignore[arg-type]
    next(stream)
    until = time.monotonic() + 5
    while search.begun < 1 + _scan.WAITING:
        assert time.monotonic() < until
        time.sleep(0.001)
    time.sleep(0.05)
    assert search.begun == 1 + _scan.WAITING, "and no more than may wait"
    stream.close()  # type: ignore[attr-defined]
    assert our_threads() == []


def test_a_caller_that_fails_leaves_no_thread(part: Part) -> None:
    outcome = perform(f"{__name__}:fail_at_the_second_block", {"part": part}, "test")
    assert (outcome.error, "disk is full" in outcome.message) == ("RunFailedError", True)
    assert our_threads() == []


def fail_at_the_second_block(part: Part) -> None:
    stream: Iterator[object] = scan_parts([("0000", part)], open_scanner(queries()), Seen())
    for number, _ in enumerate(stream):
        if number == 1:
            raise OSError("disk is full")


def test_a_file_that_changes_fails_at_the_block_that_it_cannot_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_scan, "BLOCK", BLOCK)
    np.save(tmp_path / "v.npy", stored())
    part = part_of(tmp_path / "v.npy")
    blocks = _scan.part_blocks
    given: list[int] = []

    def shrinking(*arguments: object) -> Iterator[object]:
        for number, block in enumerate(blocks(*arguments)):  # type: ignore[arg-type]
            if number == 3:
                raise DataError("'v.npy' cannot be read to its end")
            yield block

    monkeypatch.setattr(_scan, "part_blocks", shrinking)
    with pytest.raises(DataError, match="cannot be read to its end"):
        given.extend(
            len(samples) for _, samples, _ in scan_parts([("0000", part)], open_scanner(queries()), Seen())
        )
    assert len(given) == 3
    assert our_threads() == []
