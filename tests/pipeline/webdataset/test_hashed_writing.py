"""What is written is what was given, and so is the digest; a disk that refuses is not passed over."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest

from pipeline.webdataset import hashed_writing
from pipeline.webdataset.hashed_writing import HashedWriter


@pytest.mark.parametrize("piece", [1, 7, 1000, 1 << 20])
def test_bytes_arrive_in_order(piece: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashed_writing, "_PIECE", piece)
    given = [os.urandom(size) for size in (0, 3, 500, 1, 4000, 0, 77)]
    with HashedWriter(tmp_path / "a") as stream:
        for number, content in enumerate(given):
            stream.write(memoryview(content) if number % 2 else content)
    assert (tmp_path / "a").read_bytes() == b"".join(given)
    assert stream.digest() == hashlib.sha256(b"".join(given)).hexdigest()


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
