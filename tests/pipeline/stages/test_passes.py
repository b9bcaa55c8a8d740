"""A pass over a part: what overlaps with what changes nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
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
from indexes.stream import ahead
from pipeline.execution.tasks import perform
from pipeline.files import cursor
from pipeline.files.parquet import write_parquet
from pipeline.files.vectors import inspect
from pipeline.passes import one_pass as _measuring
from pipeline.passes import part_pass as _blocks
from pipeline.passes.one_pass import _scanned
from pipeline.passes.part_pass import Pass, Rows, count_reasons, pairs
from pipeline.passes.running_search import Search
from pipeline.sets.parts import Part, Stored
from pipeline.sets.uids import as_hex, from_pairs

ROWS, WIDTH, BLOCK = 100, 8, 16
SKIP = (5, 40)
BAD = {3: np.nan, 17: np.inf, 60: 0.0}
LANE = "clip image"
Look = tuple[Part, Stored]


def stored(dtype: str = "<f2") -> NDArray[np.floating]:
    """Unit vectors, some stretched, with three that cannot be compared."""
    made = np.random.default_rng(3).standard_normal((ROWS, WIDTH))
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    made[20:25] *= 3
    for row, value in BAD.items():
        made[row] = value
    return made.astype(dtype)


@pytest.fixture(params=["v.npy", "v.npz", "packed.npz", "single.npy"])
def look(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Look:
    set_block(monkeypatch, BLOCK)
    path = tmp_path / request.param
    if path.suffix == ".npz":
        (np.savez_compressed if path.stem == "packed" else np.savez)(path, a=stored())
    else:
        np.save(path, stored("<f4" if path.stem == "single" else "<f2"))
    return look_at(path)


def set_block(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    for module in (_blocks, cursor):
        monkeypatch.setattr(module, "BLOCK", rows)


def look_at(path: Path, rows: int = ROWS) -> Look:
    numbers = np.arange(rows, dtype=np.uint64)
    columns = {
        "uid": as_hex(from_pairs(np.stack([numbers * 7919 % 101, numbers], axis=1))),
        "key": pa.array([f"k{number:03d}" for number in range(rows)], pa.string()),
        "row": numbers.astype(np.int64),
    }
    table = pa.table(columns)
    write_parquet(path.parent / "part.parquet", table, table.schema)
    return Part(0, str(path.parent / "part.parquet"), rows, SKIP), Stored(
        (inspect(path),), True, (path.name,)
    )


def queries() -> Queries:
    vectors = canonical(np.random.default_rng(4).standard_normal((9, WIDTH)).astype(np.float32)).vectors
    return Queries(vectors, ("a", "b"), np.array([0, 5, 9]), np.full(9, 0.3))


def kept_rows() -> list[int]:
    return [row for row in range(ROWS) if row not in SKIP and row not in BAD]


def search(k: int = 10, threads: int | None = None) -> Search:
    scanner = open_scanner(queries(), "exact", ScanOptions(k=k, threads=threads))
    return Search(("a", "b"), LANE, queries(), scanner)


def scan(look: Look, chosen: Search) -> Iterator[tuple[Rows, Scores]]:
    """Scan a part as measuring does, blocks ahead of the caller."""
    looking = Pass(look[0], {LANE: look[1]})
    with closing(ahead(_scanned(looking, [chosen]), _measuring.WAITING)) as stream:  # type: ignore[type-var]
        for rows, found in stream:
            yield rows, found["a"]


def our_threads() -> list[str]:
    """Threads of a pass; a scanner's own end with the scanner."""
    return [
        thread.name
        for thread in threading.enumerate()
        if thread.name.startswith(("nearfar-ahead", "nearfar-read"))
    ]


def test_a_pass_gives_what_a_plain_one_gives(look: Look) -> None:
    chosen = search(k=3, threads=2)
    found = list(scan(look, chosen))
    rows = kept_rows()
    keys = [
        key for block, _ in found for key in block.samples(block.healthy([LANE])).column("key").to_pylist()
    ]
    assert keys == [f"k{row:03d}" for row in rows]
    plain = open_scanner(queries(), "exact", ScanOptions(k=3, threads=2))
    uids = np.stack([np.array(rows) * 7919 % 101, rows], axis=1).astype(np.uint64)
    expected = plain.scan(canonical(stored(look[1].files[0].dtype)[rows]).vectors, uids)
    for name in ("similarity", "nearest", "margin", "margin_query"):
        got = np.concatenate([getattr(scores, name) for _, scores in found])
        np.testing.assert_array_equal(got, getattr(expected, name))
    lists = [key for name in ("a", "b") for key in chosen.nearest(name).column("key").to_pylist()]
    assert lists == [f"k{rows[position]:03d}" for position in plain.neighbours().position.reshape(-1)]
    aside = [block.set_aside(LANE) for block, _ in found]
    assert count_reasons(aside) == {"nan": 1, "infinite": 1, "zero": 1}
    assert sum(block.lanes[LANE].normalised for block, _ in found) == 5
    assert our_threads() == []


def test_block_size_and_waiting_blocks_change_nothing(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = []
    for rows, waiting in ((BLOCK, 1), (1, 7), (1000, 4), (33, 2)):
        set_block(monkeypatch, rows)
        monkeypatch.setattr(_measuring, "WAITING", waiting)
        chosen = search(k=5)
        scores = [found.similarity for _, found in scan(look, chosen)]
        tables.append((np.concatenate(scores).tobytes(), chosen.nearest("a"), chosen.nearest("b")))
    assert all(table == tables[0] for table in tables)


def test_a_second_lane_is_read_beside_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One lane by `row`, one in the order of the samples, each with bad rows of its own."""
    set_block(monkeypatch, BLOCK)
    np.save(tmp_path / "v.npy", stored())
    other = stored().copy()
    other[[3, 17, 60]] = 0.5
    other[[8, 9]] = np.nan
    np.save(tmp_path / "t.npy", other)
    part, image = look_at(tmp_path / "v.npy")
    lanes = {LANE: image, "clip text": Stored((inspect(tmp_path / "t.npy"),), False)}
    looking = Pass(part, lanes)
    keys, images, texts = [], [], []
    for rows in looking.blocks():
        mask = rows.healthy(list(lanes))
        keys += rows.samples(mask).column("key").to_pylist()
        images.append(rows.vectors(LANE, mask))
        texts.append(rows.vectors("clip text", mask))
    expected = [row for row in kept_rows() if row not in (8, 9)]
    assert keys == [f"k{row:03d}" for row in expected]
    np.testing.assert_array_equal(np.concatenate(images), canonical(stored()[expected]).vectors)
    np.testing.assert_array_equal(np.concatenate(texts), canonical(other[expected]).vectors)
    # Only the user's own files have a content to tell.
    assert list(looking.contents()) == [f"{tmp_path / 'v.npy'}::"]


def test_an_empty_part_gives_no_block(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", stored()[:0])
    chosen = search()
    assert list(scan(look_at(tmp_path / "v.npy", 0), chosen)) == []
    assert len(chosen.nearest("a")) == 0


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


def test_the_next_block_is_scanned_while_the_caller_works(look: Look) -> None:
    slow = Slow()
    stream = scan(look, Search(("a", "b"), LANE, queries(), slow))  # type: ignore[arg-type]
    next(stream)
    until = time.monotonic() + 5
    while slow.begun < 1 + _measuring.WAITING:
        assert time.monotonic() < until
        time.sleep(0.001)
    time.sleep(0.05)
    assert slow.begun == 1 + _measuring.WAITING, "and no more than may wait"
    stream.close()  # type: ignore[attr-defined]
    assert our_threads() == []


def test_a_caller_that_fails_leaves_no_thread(look: Look) -> None:
    outcome = perform(f"{__name__}:fail_at_the_second_block", {"look": look}, "test")
    assert (outcome.error, "disk is full" in outcome.message) == ("RunFailedError", True)
    assert our_threads() == []


def fail_at_the_second_block(look: Look) -> None:
    for number, _ in enumerate(scan(look, search())):
        if number == 1:
            raise OSError("disk is full")


def test_a_file_that_changes_fails_at_the_block_that_it_cannot_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_block(monkeypatch, BLOCK)
    np.save(tmp_path / "v.npy", stored())
    look = look_at(tmp_path / "v.npy")
    blocks = cursor.blocks
    given: list[int] = []

    def shrinking(*arguments: object) -> Iterator[object]:
        for number, block in enumerate(blocks(*arguments)):  # type: ignore[arg-type]
            if number == 3:
                raise DataError("'v.npy' cannot be read to its end")
            yield block

    monkeypatch.setattr(cursor, "blocks", shrinking)
    with pytest.raises(DataError, match="cannot be read to its end"):
        given.extend(len(rows.table) for rows, _ in scan(look, search()))
    assert len(given) == 3
    assert our_threads() == []


def test_uids_are_pairs(look: Look) -> None:
    rows = next(Pass(look[0], {LANE: look[1]}).blocks())
    assert pairs(rows.table)[:3].tolist() == [[0, 0], [7919 % 101, 1], [2 * 7919 % 101, 2]]
