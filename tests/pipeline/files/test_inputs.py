"""What is known of the user's files: by stamp while they stand still, by content when they are read."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from indexes.errors import DataError
from pipeline.files import inputs
from pipeline.files.cursor import BLOCK, Cursor
from pipeline.files.digests import sha256_of
from pipeline.files.inputs import Input, Ledger, content_of, stamp_of
from pipeline.files.vectors import inspect


def noted(ledger: Ledger, file: Path) -> str:
    """Read a file as a unit would, and tell the ledger."""
    one = Input(str(file), file.name)
    stamp, content = stamp_of(file), content_of(one)
    ledger.note([[one.key, *stamp, content]])
    return content


def test_known_digest(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert sha256_of(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert content_of(Input(str(tmp_path / "x"), "x")) == sha256_of(tmp_path / "x")


def test_the_ledger_spares_the_second_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "pool [1].tar"
    file.write_bytes(b"abc")
    ledger = Ledger(tmp_path / "out")
    first = noted(ledger, file)
    ledger.save()
    saved = (tmp_path / "out/inputs.json").read_bytes()
    monkeypatch.setattr(inputs, "sha256_of", lambda _: pytest.fail("read again"))
    again = Ledger(tmp_path / "out")
    assert again.content(str(file), file) == first
    assert again.sha256(file) == first
    again.save()
    assert (tmp_path / "out/inputs.json").read_bytes() == saved


def test_change_of_same_size_with_mtime_restored_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(b"abc")
    os.utime(file, ns=(10**18, 10**18))
    ledger = Ledger(tmp_path / "out")
    noted(ledger, file)
    file.write_bytes(b"abd")
    os.utime(file, ns=(10**18, 10**18))
    assert ledger.content(str(file), file) is None
    assert ledger.sha256(file) == hashlib.sha256(b"abd").hexdigest()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"x": 3}', b'{"files": {"x": 3}, "seconds": {}}', b"\xff"]
)
def test_a_damaged_ledger_is_made_again(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    (tmp_path / "inputs.json").write_bytes(content)
    ledger = Ledger(tmp_path)
    assert ledger.content(str(tmp_path / "x"), tmp_path / "x") is None
    known = noted(ledger, tmp_path / "x")
    ledger.save()
    assert Ledger(tmp_path).content(str(tmp_path / "x"), tmp_path / "x") == known


def test_the_ledger_is_saved_as_it_grows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(inputs, "_SAVE_SECONDS", -1.0)
    (tmp_path / "x").write_bytes(b"abc")
    noted(Ledger(tmp_path / "out"), tmp_path / "x")
    assert (tmp_path / "out/inputs.json").exists()


def test_time_adds_up_over_runs(tmp_path: Path) -> None:
    for _ in range(2):
        ledger = Ledger(tmp_path)
        ledger.spent("read", 1.5)
        ledger.save()
    assert Ledger(tmp_path).seconds("read") == 3.0
    assert Ledger(tmp_path).seconds("embed") == 0.0


def test_a_missing_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent.npy': No such file.*correct the path"):
        stamp_of(tmp_path / "absent.npy")
    with pytest.raises(DataError, match="Is a directory"):
        content_of(Input(str(tmp_path), ""))
    assert Ledger(tmp_path).content("x", tmp_path / "absent") is None


@pytest.mark.parametrize("dtype", ["<f2", "<f4", ">f2"])
def test_an_array_has_the_same_content_in_passing_and_alone(tmp_path: Path, dtype: str) -> None:
    values = np.random.default_rng(0).standard_normal((BLOCK + 100, 4)).astype(dtype)
    np.save(tmp_path / "v.npy", values)
    np.savez(tmp_path / "v.npz", a=values)
    np.savez_compressed(tmp_path / "w.npz", b=values)
    names = (("v.npy", None), ("v.npz", "a"), ("w.npz", "b"))
    alone = [content_of(Input(str(tmp_path / name), name, array or "")) for name, array in names]
    passing = []
    for name, array in names:
        cursor = Cursor([inspect(tmp_path / name, array)])
        cursor.take(np.array([3, 5, BLOCK + 7]))
        passing += cursor.contents()
    assert alone == passing
    # The same numbers have the same content, however they are packed.
    assert len(set(alone)) == 1
    values[7, 2] += 1
    np.save(tmp_path / "other.npy", values)
    assert content_of(Input(str(tmp_path / "other.npy"), "", "")) not in alone


def test_a_cursor_takes_rows_over_many_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    sizes = (3, 1, 20, 2)
    blocks = [rng.standard_normal((rows, 5)).astype("<f2") for rows in sizes]
    for number, block in enumerate(blocks):
        np.save(tmp_path / f"{number}.npy", block)
    files = [inspect(tmp_path / f"{number}.npy") for number in range(len(sizes))]
    whole = np.concatenate(blocks)
    cursor = Cursor(files)
    for rows in ([0, 1], [2, 3, 4], [], [9, 12, 22], [24, 25]):
        np.testing.assert_array_equal(cursor.take(np.array(rows, np.int64)), whole[rows])
    assert len(cursor.contents()) == len(files)
    with pytest.raises(DataError, match=r"hold 26 vectors, but the metadata names row 26"):
        Cursor(files).take(np.array([26]))
    assert Cursor(files, digest=False).take(np.array([25])).shape == (1, 5)
