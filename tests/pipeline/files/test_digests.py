from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from indexes.errors import DataError
from pipeline.files import digests
from pipeline.files.digests import InputDigests, sha256_of


def test_known_digest(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert sha256_of(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_cache_spares_the_second_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "pool [1].tar").write_bytes(b"abc")
    with InputDigests(tmp_path / "out") as inputs:
        first = inputs.sha256(tmp_path / "pool [1].tar")
    saved = (tmp_path / "out/inputs.json").read_bytes()
    monkeypatch.setattr(digests, "sha256_of", lambda _: pytest.fail("read again"))
    with InputDigests(tmp_path / "out") as inputs:
        assert inputs.sha256(str(tmp_path / "pool [1].tar")) == first
    assert (tmp_path / "out/inputs.json").read_bytes() == saved


def test_change_of_same_size_with_mtime_restored_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(b"abc")
    os.utime(file, ns=(10**18, 10**18))
    inputs = InputDigests(tmp_path / "out")
    inputs.sha256(file)
    file.write_bytes(b"abd")
    os.utime(file, ns=(10**18, 10**18))
    assert inputs.sha256(file) == hashlib.sha256(b"abd").hexdigest()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"x": 3}', b"\xff"])
def test_damaged_cache_is_rebuilt(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    (tmp_path / "inputs.json").write_bytes(content)
    with InputDigests(tmp_path) as inputs:
        assert inputs.sha256(tmp_path / "x") == sha256_of(tmp_path / "x")
    assert InputDigests(tmp_path)._known.keys() == {str(tmp_path / "x")}


def test_cache_is_saved_as_it_grows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(digests, "_SAVE_EVERY", 2)
    (tmp_path / "x").write_bytes(b"abc")
    InputDigests(tmp_path / "out").sha256(tmp_path / "x")
    assert (tmp_path / "out/inputs.json").exists()


def test_missing_input_is_named(tmp_path: Path) -> None:
    inputs = InputDigests(tmp_path)
    with pytest.raises(DataError, match=r"absent.npy': No such file.*correct the path"):
        inputs.sha256(tmp_path / "absent.npy")
    with pytest.raises(DataError, match="Is a directory"):
        inputs.sha256(tmp_path)


def test_file_that_changes_while_read_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(b"abc")

    def grows(path: Path) -> str:
        path.write_bytes(b"longer")
        return "0"

    monkeypatch.setattr(digests, "sha256_of", grows)
    with pytest.raises(DataError, match="changed while it was read"):
        InputDigests(tmp_path).sha256(file)


def test_cached_digest_reads_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(b"abc")
    inputs = InputDigests(tmp_path / "out")
    assert inputs.cached(file) is None
    known = inputs.sha256(file)
    monkeypatch.setattr(digests, "sha256_of", lambda _: pytest.fail("read again"))
    assert inputs.cached(file) == known
    file.write_bytes(b"longer")
    assert inputs.cached(file) is None
    assert inputs.cached(tmp_path / "absent") is None
