from __future__ import annotations

import os
import subprocess
import sys
import threading
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexes.errors import DataError, UnknownNameError
from pipeline.files import vectors

ODD = "a 'quoted\" * [name] k=v"


def sample(rows: int, width: int = 5, dtype: str = "<f2") -> Any:
    return np.random.default_rng(rows).standard_normal((rows, width)).astype(dtype)


def save(path: Path, array: Any) -> Path:
    np.save(path, array)
    return path


def together(file: vectors.VectorFile, rows_per_block: int) -> Any:
    found = list(vectors.blocks(file, rows_per_block))
    assert all(len(block) == rows_per_block for block in found[:-1])
    return np.concatenate(found) if found else None


@pytest.mark.parametrize("dtype", ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8"])
@pytest.mark.parametrize("rows_per_block", [1, 3, 7, 100])
def test_blocks_give_back_what_was_saved(tmp_path: Path, dtype: str, rows_per_block: int) -> None:
    array = sample(7, dtype=dtype)
    path = save(tmp_path / f"{ODD}.npy", array)
    file = vectors.inspect(path)
    assert file == vectors.VectorFile(str(path), None, 7, 5, dtype)
    assert file.nbytes == array.nbytes
    read = together(file, rows_per_block)
    assert read.dtype.isnative
    np.testing.assert_array_equal(read, array)
    np.testing.assert_array_equal(vectors.take(file, np.array([6, 0, 6, 2])), array[[6, 0, 6, 2]])


def test_rows_that_are_not_there(tmp_path: Path) -> None:
    file = vectors.inspect(save(tmp_path / "x.npy", sample(7)))
    for rows in ([-1], [0, 7]):
        with pytest.raises(DataError, match="has rows 0 to 6, not"):
            vectors.take(file, np.array(rows))
    assert vectors.take(file, np.array([], dtype=np.int64)).shape == (0, 5)


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_npz_members_by_name(tmp_path: Path, write: Any) -> None:
    image, text = sample(9), sample(9, 4, "<f4")
    path = tmp_path / "0.npz"
    write(path, b32_img=image, b32_txt=text)
    file = vectors.inspect(path, "b32_img")
    assert (file.array, file.rows, file.width, file.dtype) == ("b32_img", 9, 5, "<f2")
    np.testing.assert_array_equal(together(file, 4), image)
    np.testing.assert_array_equal(together(vectors.inspect(path, "b32_txt"), 4), text)
    np.testing.assert_array_equal(vectors.take(file, np.array([8, 1])), image[[8, 1]])
    with pytest.raises(UnknownNameError, match="unknown array 'l14_img'; available: b32_img, b32_txt"):
        vectors.inspect(path, "l14_img")
    with pytest.raises(DataError, match="holds 2 arrays"):
        vectors.inspect(path)


def test_the_only_member_needs_no_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "0.npz", anything=sample(3))
    assert vectors.inspect(tmp_path / "0.npz").array == "anything"


@pytest.mark.parametrize("rows", [0, 1])
def test_few_rows(tmp_path: Path, rows: int) -> None:
    file = vectors.inspect(save(tmp_path / "x.npy", sample(rows)))
    assert (file.rows, file.width) == (rows, 5)
    assert sum(len(block) for block in vectors.blocks(file, 10)) == rows


def test_a_large_member_is_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "_PIECE", 100)
    array = sample(1000)
    np.savez_compressed(tmp_path / "0.npz", a=array)
    np.testing.assert_array_equal(together(vectors.inspect(tmp_path / "0.npz"), 300), array)


@pytest.mark.parametrize("member", [None, "a"])
@pytest.mark.parametrize("left", [0, 1, 5, 40, 100, 127, 128, 150, -1])
def test_truncated_files_are_named(tmp_path: Path, member: str | None, left: int) -> None:
    path = tmp_path / "whole.npy"
    if member:
        np.savez(path.with_suffix(".npz"), a=sample(20))
        path = path.with_suffix(".npz")
    else:
        save(path, sample(20))
    content = path.read_bytes()
    path.write_bytes(content[:left])
    with pytest.raises(DataError, match=r"whole\.np"):
        vectors.inspect(path, member)


def test_trailing_bytes_are_an_error(tmp_path: Path) -> None:
    path = save(tmp_path / "x.npy", sample(3))
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(DataError, match="has bytes after its end: 159 bytes, its header asks for 158"):
        vectors.inspect(path)


class Canary:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, ("canary",)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(4, np.float16), r"shape \(4,\)"),
        (np.zeros((2, 2, 2), np.float16), r"shape \(2, 2, 2\)"),
        (np.zeros((2, 0), np.float16), r"shape \(2, 0\)"),
        (np.zeros((2, 3), np.int64), "holds int64"),
        (np.zeros((2, 3), np.complex64), "holds complex64"),
        (np.zeros((2, 3), "u8,u8"), "vectors are float16, float32, float64"),
        (np.asfortranarray(np.ones((2, 3), np.float16)), "Fortran order"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, array: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        vectors.inspect(save(tmp_path / "odd.npy", array))
    assert "odd.npy" in str(caught.value)
    np.savez(tmp_path / "odd.npz", member=array)
    with pytest.raises(DataError, match=message) as caught:
        vectors.inspect(tmp_path / "odd.npz")
    assert "'member'" in str(caught.value)


@pytest.mark.parametrize("kind", ["npy", "npz"])
def test_the_advice_for_a_fortran_array_makes_it_readable(tmp_path: Path, kind: str) -> None:
    rows = np.arange(6, dtype=np.float16).reshape(2, 3)
    path = tmp_path / f"it's.{kind}"
    if kind == "npy":
        np.save(path, np.asfortranarray(rows))
    else:
        np.savez(path, member=np.asfortranarray(rows), other=rows)
    with pytest.raises(DataError, match="Fortran order") as caught:
        vectors.inspect(path, None if kind == "npy" else "member")
    advised = str(caught.value).partition("in Python: ")[2]
    subprocess.run([sys.executable, "-c", advised], check=True)
    found = vectors.inspect(path, None if kind == "npy" else "member")
    assert np.array_equal(next(vectors.blocks(found, 10)), rows)


def test_pickles_are_refused_and_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    array = np.array([[Canary(), Canary()]], dtype=object)
    np.save("x.npy", array, allow_pickle=True)
    np.savez("x.npz", a=array)
    for name in ("x.npy", "x.npz"):
        with pytest.raises(DataError, match="pickled"):
            vectors.inspect(name)
    assert not Path("canary").exists()


@pytest.mark.parametrize(
    "content", [b"", b"PK", b"\x80\x04.", b"\x93NUMPY\x09\x00", b"\x93NUMPY\x01\x00\x04\x00{][\n", b"x" * 999]
)
def test_files_that_are_no_arrays(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(DataError, match=r"x\.npy"):
        vectors.inspect(tmp_path / "x.npy")


def test_a_header_of_gigabytes_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """Packed, it takes a few kilobytes of an .npz."""
    head = b"\x93NUMPY\x02\x00" + (32 << 20).to_bytes(4, "little")
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", head + b" " * (32 << 20))
    tracemalloc.start()
    with pytest.raises(DataError, match="it says that it has 33,554,432 bytes"):
        vectors.inspect(tmp_path / "x.npz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


def test_missing_folder_and_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npy")
    for name in ("none.npy", "pipe.npy", ""):
        with pytest.raises(DataError, match=r"cannot open|not a regular file"):
            vectors.inspect(tmp_path / name)


def test_a_flipped_byte_in_an_npz_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, a=sample(50))
    file = vectors.inspect(path)
    content = bytearray(path.read_bytes())
    content[400] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"x\.npz"):
        together(file, 7)


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, a=sample(5))
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        directory = archive.start_dir
    content[6] |= 1
    content[directory + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="encrypted"):
        vectors.inspect(path)


def test_a_file_that_changes_is_noticed(tmp_path: Path) -> None:
    path = save(tmp_path / "x.npy", sample(50))
    file = vectors.inspect(path)
    save(path, sample(49))
    with pytest.raises(DataError, match="has changed during the run: it had 50 rows"):
        together(file, 7)
    save(path, sample(50))
    stream = vectors.blocks(file, 10)
    next(stream)
    os.truncate(path, 200)
    with pytest.raises(DataError, match="cannot be read to its end"):
        list(stream)


def test_memory_is_bounded_and_the_thread_ends(tmp_path: Path) -> None:
    array = np.zeros((20_000, 256), np.float16)
    np.savez_compressed(tmp_path / "x.npz", a=array)
    for path in (save(tmp_path / "x.npy", array), tmp_path / "x.npz"):
        file = vectors.inspect(path)
        block_bytes = 1000 * 256 * 2
        tracemalloc.start()
        for _ in vectors.blocks(file, 1000):
            pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 5 * block_bytes
    before = threading.active_count()
    stream = vectors.blocks(file, 10)
    next(stream)
    stream.close()
    assert threading.active_count() == before


def test_a_header_that_another_thread_disturbs_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python 3.11 takes two threads that read literals at a time for a mistake of its own."""
    path, whole = save(tmp_path / "a.npy", sample(3)), np.lib.format.read_array_header_1_0
    disturbed = iter([True, False])

    def read(stream: Any) -> Any:
        found = whole(stream)
        if next(disturbed):
            raise SystemError("AST constructor recursion depth mismatch (before=48, after=45)")
        return found

    monkeypatch.setattr(np.lib.format, "read_array_header_1_0", read)
    assert vectors.inspect(path).rows == 3
