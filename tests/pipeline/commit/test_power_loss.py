"""What a power loss keeps: each step of a commit is on the disk before the next one that counts on it begins."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pipeline.commit import Unit, attempt, find

Event = tuple[str, str]


def commit(out: Path, fingerprint: str, *names: str) -> None:
    with attempt(out, Unit("measure", "part-0000", fingerprint * 64)) as trying:
        for name in names:
            trying.file(f"data/{name}").write_text(f"{name} of {fingerprint}")
            trying.add(f"data/{name}")
        trying.commit()


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Event]:
    """What is asked of the file system, with the path that each call is about, relative to the output."""
    seen: list[Event] = []

    def place(folder: int, name: str = "") -> str:
        return os.path.relpath(Path(f"/proc/self/fd/{folder}").readlink() / name, tmp_path / "out")

    def note(call: str, real: Any, folder: str) -> Any:
        def noted(*given: Any, **more: Any) -> Any:
            found = real(*given, **more)
            about = (
                place(given[0])
                if call == "fsync"
                else place(more[folder], given[-1 if folder[:3] == "dst" else 0])
            )
            seen.append((call, about))
            return found

        return noted

    for call, folder in (
        ("fsync", ""),
        ("rename", "dst_dir_fd"),
        ("link", "dst_dir_fd"),
        ("unlink", "dir_fd"),
    ):
        monkeypatch.setattr(os, call, note(call, getattr(os, call), folder))
    real_mkdir = os.mkdir

    def mkdir(name: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        real_mkdir(name, mode, dir_fd=dir_fd)
        if dir_fd is not None:
            seen.append(("mkdir", place(dir_fd, name)))

    monkeypatch.setattr(os, "mkdir", mkdir)
    return seen


def in_order(events: list[Event], *wanted: Event) -> None:
    """Assert that the events came, one after the other."""
    at = 0
    for one in wanted:
        assert one in events[at:], (one, "not after", wanted[: wanted.index(one)], events)
        at = events.index(one, at) + 1


RECORD, FOLDER = "commits/measure/part-0000.json", "commits/measure"


def test_each_step_of_a_commit_is_on_the_disk_before_the_next(tmp_path: Path, events: list[Event]) -> None:
    (tmp_path / "out").mkdir()
    commit(tmp_path / "out", "a", "one", "two")
    for name in ("one", "two"):
        written = next(about for call, about in events if call == "fsync" and about.endswith(f"data/{name}"))
        assert written.startswith("attempts/")
        in_order(
            events,
            ("fsync", written),
            ("rename", f"data/{name}"),
            ("fsync", "data"),
            ("link", RECORD),
            ("fsync", FOLDER),
        )
    in_order(events, ("mkdir", "data"), ("fsync", "."), ("rename", "data/one"))
    in_order(events, ("mkdir", FOLDER), ("fsync", "commits"), ("link", RECORD))
    temporary = [about for call, about in events if call == "fsync" and about.endswith(".tmp")]
    journal, record = temporary
    assert all(one.startswith(f"{FOLDER}/.") for one in temporary)
    in_order(
        events,
        ("fsync", journal),
        ("rename", f"{FOLDER}/.part-0000.json.journal"),
        ("fsync", FOLDER),
        ("rename", "data/one"),
    )
    in_order(events, ("fsync", record), ("link", RECORD))


def test_a_stale_record_is_gone_from_the_disk_before_its_files_change(
    tmp_path: Path, events: list[Event]
) -> None:
    (tmp_path / "out").mkdir()
    commit(tmp_path / "out", "a", "one")
    events.clear()
    commit(tmp_path / "out", "b", "one")
    in_order(events, ("unlink", RECORD), ("fsync", FOLDER), ("rename", "data/one"))
    assert events[events.index(("unlink", RECORD)) + 1] == ("fsync", FOLDER)


@pytest.mark.parametrize("linked", [False, True])
def test_a_journal_that_somebody_planted_removes_nothing_outside(tmp_path: Path, linked: bool) -> None:
    out = tmp_path / "out"
    commit(out, "a", "one")
    victim = out / "data" / "users" if linked else tmp_path / "victim"
    victim.write_text("mine")
    journal = out / FOLDER / ".part-0000.json.journal"
    named = "data/users" if linked else "../victim"
    planted = tmp_path / "planted" if linked else journal
    planted.write_text(json.dumps([[named, victim.stat().st_ino]]))
    if linked:
        journal.symlink_to(planted)
    commit(out, "b", "one")
    assert find(out, Unit("measure", "part-0000", "b" * 64)) is not None
    assert victim.read_text() == "mine"
    assert not journal.exists()


def test_a_record_that_is_a_link_is_none(tmp_path: Path) -> None:
    out = tmp_path / "out"
    unit = Unit("measure", "part-0000", "a" * 64)
    commit(out, "a", "one")
    (out / RECORD).rename(tmp_path / "record")
    (out / RECORD).symlink_to(tmp_path / "record")
    before = (tmp_path / "record").read_bytes()
    assert find(out, unit) is None
    commit(out, "a", "one")
    assert find(out, unit) is not None
    assert not (out / RECORD).is_symlink()
    assert (tmp_path / "record").read_bytes() == before
