"""When the digest of a committed file is taken again, and when it is remembered."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from indexes.errors import OutputError
from pipeline.commit import Output, Record, check_sound, is_sound, sound
from pipeline.commit.sound import sound_bytes
from pipeline.files.digests import sha256_of


@pytest.fixture
def file(tmp_path: Path) -> Output:
    """A file that was committed a while ago; a test says how long it has stood."""
    (tmp_path / "a.npy").write_bytes(b"as it was committed")
    return Output("a.npy", 19, None, sha256_of(tmp_path / "a.npy"))


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Each file that is hashed, in order."""
    found: list[Path] = []

    def noting(path: Path) -> str:
        found.append(path)
        return sha256_of(path)

    monkeypatch.setattr(sound, "sha256_of", noting)
    monkeypatch.setattr(sound, "STILL_NS", -1)
    return found


def rot(path: Path) -> None:
    """Change a byte and put the time of the content back; nothing puts back that of the inode."""
    times = path.stat()
    path.write_bytes(b"as it was cOmmitted")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_a_file_that_stands_is_hashed_once(tmp_path: Path, file: Output, hashed: list[Path]) -> None:
    assert [is_sound(tmp_path, file) for _ in range(3)] == [True, True, True]
    assert len(hashed) == 1
    assert not is_sound(tmp_path, Output("a.npy", 19, None, "0" * 64)), "another record wants other bytes"


def test_whatever_is_written_is_seen(tmp_path: Path, file: Output, hashed: list[Path]) -> None:
    assert is_sound(tmp_path, file)
    rot(tmp_path / "a.npy")
    assert not is_sound(tmp_path, file)
    assert not is_sound(tmp_path, file)
    other = tmp_path / "b.npy"
    other.write_bytes(b"as it was committed")
    other.replace(tmp_path / "a.npy")
    assert is_sound(tmp_path, file)
    (tmp_path / "a.npy").unlink()
    assert not is_sound(tmp_path, file)


def test_a_file_that_was_just_written_is_hashed_again(
    tmp_path: Path, file: Output, hashed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sound, "STILL_NS", 3_600_000_000_000)
    assert is_sound(tmp_path, file)
    assert is_sound(tmp_path, file)
    assert len(hashed) == 2


def test_what_changes_no_stamp_is_seen_after_a_while(
    tmp_path: Path, file: Output, hashed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    stamp = sound._stamp(tmp_path / "a.npy")
    monkeypatch.setattr(sound, "_stamp", lambda _: stamp)
    assert is_sound(tmp_path, file)
    rot(tmp_path / "a.npy")
    assert is_sound(tmp_path, file), "no program can tell, short of reading it"
    monkeypatch.setattr(sound, "KEPT_SECONDS", 0.0)
    assert not is_sound(tmp_path, file)


def test_a_file_that_is_not_what_was_committed_is_named_with_what_to_do(tmp_path: Path, file: Output) -> None:
    record = Record("measure", "part-0000", "f" * 64, (file,), {})
    check_sound(tmp_path, record.outputs)
    assert sound_bytes(tmp_path, record, "a.npy") == b"as it was committed"
    rot(tmp_path / "a.npy")
    said = rf"a\.npy' is not what was committed.*`nearfar verify {tmp_path} --repair` makes it again"
    with pytest.raises(OutputError, match=said):
        check_sound(tmp_path, record.outputs)
    with pytest.raises(OutputError, match=said):
        sound_bytes(tmp_path, record, "a.npy")


def test_what_is_written_while_a_file_is_hashed_is_seen_the_next_time(
    tmp_path: Path, file: Output, hashed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def disturbed(path: Path) -> str:
        digest = sha256_of(path)
        rot(path)
        return digest

    monkeypatch.setattr(sound, "sha256_of", disturbed)
    assert is_sound(tmp_path, file)
    assert not is_sound(tmp_path, file)
