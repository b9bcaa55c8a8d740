"""What is written is what was given, and so is the digest; a disk that refuses is not passed over."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from pathlib import Path

import pytest

from pipeline.webdataset import hashed_writing
from pipeline.webdataset.hashed_writing import HashedWriter


@pytest.mark.parametrize("piece", [1, 7, 1000, 5000, 1 << 20])
def test_bytes_arrive_in_order(piece: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashed_writing, "PIECE", piece)
    given = [os.urandom(size) for size in (0, 3, 500, 1, 4000, 0, 77, 5000, 12_288, 1, 9000)]
    with HashedWriter(tmp_path / "a") as stream:
        for number, content in enumerate(given):
            stream.write(memoryview(content) if number % 2 else content)
    assert (tmp_path / "a").read_bytes() == b"".join(given)
    assert stream.digest() == hashlib.sha256(b"".join(given)).hexdigest()


def test_room_is_filled_in_place_while_earlier_pieces_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashed_writing, "PIECE", 8192)
    given = [os.urandom(3000) for _ in range(200)]
    with HashedWriter(tmp_path / "a") as stream:
        for content in given:
            room = stream.room(len(content))
            room[:1000] = content[:1000]
            room[1000:] = content[1000:]
    assert (tmp_path / "a").read_bytes() == b"".join(given)
    assert stream.digest() == hashlib.sha256(b"".join(given)).hexdigest()


def test_a_file_system_that_writes_nothing_directly_is_written_to_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, refused = os.write, list[int]()

    def only_cached(descriptor: int, content: memoryview) -> int:
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT:
            refused.append(len(content))
            raise OSError(errno.EINVAL, "Invalid argument")
        return write(descriptor, content)

    monkeypatch.setattr("os.write", only_cached)
    content = os.urandom(2 * hashed_writing.PIECE + 5)
    with HashedWriter(tmp_path / "a") as stream:
        for start in range(0, len(content), 1 << 20):
            stream.write(content[start : start + (1 << 20)])
    assert (tmp_path / "a").read_bytes() == content
    assert len(refused) <= 1


def test_a_short_write_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr("os.write", lambda descriptor, content: write(descriptor, content[:3]))
    with HashedWriter(tmp_path / "a") as stream:
        stream.write(b"0123456789")
    assert (tmp_path / "a").read_bytes() == b"0123456789"


def test_a_full_disk_is_an_error_even_at_the_last_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.write", full)
    with pytest.raises(OSError, match="No space"), HashedWriter(tmp_path / "a") as stream:
        stream.write(b"some")


def test_an_error_on_the_way_leaves_nothing_running(tmp_path: Path) -> None:
    def broken() -> None:
        with HashedWriter(tmp_path / "a") as stream:
            stream.write(b"some")
            raise KeyError

    with pytest.raises(KeyError):
        broken()
    assert (tmp_path / "a").read_bytes() == b""
