from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import stat
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from commit_script import snapshot

from indexes.errors import DataError, OutputError, RunFailedError
from pipeline.commit import (
    Output,
    Record,
    Unit,
    attempt,
    find,
    fingerprint,
    publish,
    read_record,
    records,
    sweep,
)
from pipeline.commit.records import canonical_json, dump_record, parse_record, record_file
from pipeline.commit.run_lock import hold
from pipeline.files.parquet import write_parquet

UNIT = Unit("measure", "part-0000", "f" * 64)


def commit(out: Path, unit: Unit = UNIT, facts: dict[str, Any] | None = None, **files: str) -> Record:
    with attempt(out, unit) as trying:
        for name, text in files.items():
            relative = f"data/{name}"
            trying.file(relative).write_text(text)
            trying.add(relative)
        return trying.commit(facts)


def test_a_committed_unit_is_found_with_its_files(tmp_path: Path) -> None:
    made = commit(tmp_path, facts={"kept": np.int64(3), "share": 0.5, "pair": (1, 2)}, a="one", b="two")
    digest = hashlib.sha256(b"one").hexdigest()
    assert made.outputs[0] == Output("data/a", 3, None, digest)
    assert made.facts == {"kept": 3, "share": 0.5, "pair": [1, 2]}
    assert find(tmp_path, UNIT) == made == read_record(tmp_path, "measure", "part-0000")
    assert records(tmp_path, "measure") == [made]
    assert (tmp_path / "data/b").read_text() == "two"
    assert sorted(snapshot(tmp_path)) == ["commits/measure/part-0000.json", "data/a", "data/b"]


def test_nothing_shows_before_the_commit_or_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError), attempt(tmp_path, UNIT) as trying:
        fail_after_writing(tmp_path, trying.file("data/a"))
    assert snapshot(tmp_path) == {}
    with attempt(tmp_path, UNIT) as trying:
        trying.file("data/a").write_text("never committed")
    assert snapshot(tmp_path) == {}
    assert find(tmp_path, UNIT) is None


def fail_after_writing(out: Path, path: Path) -> None:
    path.write_text("x")
    assert not (out / "data").exists()
    raise DataError("bad shard")


def test_attempts_are_private(tmp_path: Path) -> None:
    with attempt(tmp_path, UNIT) as trying:
        path = trying.file("deep/er/x")
        assert path.is_relative_to(tmp_path / "attempts")
        modes = [stat.S_IMODE(folder.stat().st_mode) for folder in (tmp_path / "attempts", path.parents[2])]
        assert modes == [0o700, 0o700]
        assert trying.scratch().is_dir()


def test_records_hold_no_clock_and_no_host(tmp_path: Path) -> None:
    for name in ("one", "two"):
        commit(tmp_path / name, facts={"b": 1, "a": 2}, x="x")
    one, two = (tmp_path / name / "commits/measure/part-0000.json" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    keys = list(json.loads(one.read_bytes()))
    assert keys == sorted(keys) == ["digest", "facts", "fingerprint", "name", "outputs", "stage"]


def test_another_fingerprint_or_a_damaged_size_is_not_done(tmp_path: Path) -> None:
    commit(tmp_path, a="one")
    assert find(tmp_path, Unit("measure", "part-0000", "0" * 64)) is None
    (tmp_path / "data/a").write_text("longer")
    assert find(tmp_path, UNIT) is None
    (tmp_path / "data/a").unlink()
    assert find(tmp_path, UNIT) is None
    assert find(tmp_path, Unit("measure", "none", "")) is None
    assert records(tmp_path, "none") == []


def test_a_new_fingerprint_replaces_files_and_removes_what_it_no_longer_names(tmp_path: Path) -> None:
    commit(tmp_path, a="one", b="two", c="three")
    newer = Unit("measure", "part-0000", "0" * 64)
    commit(tmp_path, newer, a="four")
    assert sorted(snapshot(tmp_path)) == ["commits/measure/part-0000.json", "data/a"]
    assert (tmp_path / "data/a").read_text() == "four"
    assert find(tmp_path, newer) is not None
    assert find(tmp_path, UNIT) is None


def test_a_file_that_another_unit_took_over_is_left_alone(tmp_path: Path) -> None:
    commit(tmp_path, a="one", b="two")
    commit(tmp_path, Unit("measure", "part-0001", "1" * 64), b="mine now")
    commit(tmp_path, Unit("measure", "part-0000", "0" * 64), a="again")
    assert (tmp_path / "data/b").read_text() == "mine now"


def test_a_second_worker_takes_the_standing_record(tmp_path: Path) -> None:
    with attempt(tmp_path, UNIT) as slow:
        slow.file("data/a").write_text("slow")
        slow.add("data/a")
        first = commit(tmp_path, a="fast")
        assert slow.commit() == first
    assert (tmp_path / "data/a").read_text() == "fast"
    assert snapshot(tmp_path).keys() == {"commits/measure/part-0000.json", "data/a"}


def test_many_workers_at_once_take_effect_once(tmp_path: Path) -> None:
    found: list[Record] = []
    barrier = threading.Barrier(8)

    def work(number: int) -> None:
        with attempt(tmp_path, UNIT) as trying:
            trying.file("data/a").write_text(f"worker {number}")
            trying.add("data/a")
            barrier.wait()
            found.append(trying.commit({"worker": number}))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert all(record == found[0] for record in found)
    assert (tmp_path / "data/a").read_text() == f"worker {found[0].facts['worker']}"


def test_a_worker_that_outlived_its_run_does_not_commit(tmp_path: Path) -> None:
    with hold(tmp_path):
        pass
    with attempt(tmp_path, UNIT) as orphan:
        orphan.file("data/a").write_text("orphan")
        orphan.add("data/a")
        with hold(tmp_path), pytest.raises(RunFailedError, match="another run took over"):
            orphan.commit()
    assert find(tmp_path, UNIT) is None
    assert not (tmp_path / "data").exists()


def test_file_systems_without_links_or_locks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(number: int) -> Any:
        def call(*_: object, **__: object) -> None:
            raise OSError(number, os.strerror(number))

        return call

    monkeypatch.setattr(fcntl, "flock", refuse(errno.ENOLCK))
    monkeypatch.setattr(os, "link", refuse(errno.EPERM))
    assert find(tmp_path, UNIT) is None
    assert commit(tmp_path, a="one") == find(tmp_path, UNIT)


def test_without_locks_the_exclusive_record_decides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = tmp_path / "other"
    commit(other, a="one")
    real_place = publish._place

    def overtaken(publication: publish.Publication) -> None:
        real_place(publication)
        shutil.copy(other / "commits/measure/part-0000.json", tmp_path / "out/commits/measure/part-0000.json")

    monkeypatch.setattr(publish, "_place", overtaken)
    assert commit(tmp_path / "out", a="one") == find(other, UNIT)
    with pytest.raises(RunFailedError, match="by another run at the same moment"):
        commit(tmp_path / "out", Unit("measure", "part-0000", "0" * 64), a="two")


def test_a_torn_record_counts_as_none(tmp_path: Path) -> None:
    commit(tmp_path, a="one")
    path = tmp_path / "commits/measure/part-0000.json"
    for content in (b"", path.read_bytes()[:-40], b"[]", path.read_bytes().replace(b"data/a", b"../../a")):
        path.write_bytes(content)
        assert read_record(tmp_path, "measure", "part-0000") is None
        assert records(tmp_path, "measure") == []
        assert find(tmp_path, UNIT) is None
        commit(tmp_path, a="one")
        assert find(tmp_path, UNIT) is not None


def test_a_record_under_another_name_counts_as_none(tmp_path: Path) -> None:
    commit(tmp_path, a="one")
    shutil.copy(tmp_path / "commits/measure/part-0000.json", tmp_path / "commits/measure/part-0001.json")
    assert read_record(tmp_path, "measure", "part-0001") is None


@pytest.mark.parametrize(
    "name", ["a b", 'quo"te', "st*r [x]", "../up", ".hidden", "sla/sh", "ünï", "new\nline", "100%"]
)
def test_unit_names_are_safe_file_names(tmp_path: Path, name: str) -> None:
    unit = Unit("split", name, "0")
    commit(tmp_path, unit, a="x")
    assert find(tmp_path, unit) is not None
    assert [record.name for record in records(tmp_path, "split")] == [name]
    assert len(list((tmp_path / "commits/split").iterdir())) == 1


@pytest.mark.parametrize("name", ["", "x" * 300])
def test_impossible_unit_names_are_refused(name: str) -> None:
    with pytest.raises(OutputError, match="cannot name a unit"):
        record_file(name)


def test_forgotten_unwritten_and_wrong_outputs_are_refused(tmp_path: Path) -> None:
    table = pa.table({"x": [1, 2, 3]})
    with attempt(tmp_path, UNIT) as trying:
        with pytest.raises(RunFailedError, match="did not write its output 'a'"):
            trying.add("a")
        trying.file("b").write_text("x")
        with pytest.raises(RunFailedError, match="wrote b and did not add it"):
            trying.commit()
        trying.add("b")
        write_parquet(trying.file("c.parquet"), table, table.schema)
        trying.add("c.parquet", rows=4)
        with pytest.raises(RunFailedError, match=r"'c.parquet' holds 3 rows where 4 were declared"):
            trying.commit()
        trying.add("c.parquet", rows=3)
        assert [output.rows for output in trying.commit().outputs] == [None, 3]


def test_a_file_that_is_still_being_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hashed(path: Path) -> str:
        with path.open("a") as stream:
            stream.write("more")
        return "0" * 64

    monkeypatch.setattr("pipeline.commit.attempts.sha256_of", hashed)
    with pytest.raises(RunFailedError, match="'data/a' was still being written at its commit"):
        commit(tmp_path, a="one")
    assert snapshot(tmp_path) == {}


@pytest.mark.parametrize("path", ["../a", "/etc/a", "data/../../a", ""])
def test_a_record_that_names_a_file_outside_is_none(path: str) -> None:
    outputs = (Output("data/b", 3, None, "0" * 64), Output(path, 3, None, "0" * 64))
    assert parse_record(dump_record(Record("measure", "part-0000", "f" * 64, outputs[:1], {}))) is not None
    assert parse_record(dump_record(Record("measure", "part-0000", "f" * 64, outputs, {}))) is None


def test_outputs_that_are_links_or_in_the_way_of_a_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    with attempt(tmp_path / "out", UNIT) as trying:
        trying.file("a").symlink_to(tmp_path / "secret")
        trying.add("a")
        with pytest.raises(OutputError, match="not a regular file"):
            trying.commit()
    (tmp_path / "out/data/a").mkdir(parents=True)
    with pytest.raises(OutputError, match="a folder where a file belongs"):
        commit(tmp_path / "out", a="x")


@pytest.mark.parametrize("linked", [".", "attempts", "commits", "commits/measure", "data"])
def test_linked_folders_are_refused(tmp_path: Path, linked: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "out" / linked
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="symbolic link"):
        commit(tmp_path / "out", a="x")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_facts_without_canonical_json_are_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(float("nan"))
    with pytest.raises(TypeError, match="no canonical JSON"):
        canonical_json({1, 2})


def test_fingerprints_do_not_depend_on_the_order_of_keys() -> None:
    assert fingerprint({"a": 1, "b": [1.5, None]}, "x") == fingerprint({"b": (1.5, None), "a": 1}, "x")
    assert len({fingerprint(), fingerprint(1), fingerprint("1"), fingerprint(1, 2), fingerprint([1, 2])}) == 5


def test_sweep_removes_what_killed_runs_left(tmp_path: Path) -> None:
    sweep(tmp_path / "absent")
    commit(tmp_path, a="x")
    before = snapshot(tmp_path)
    (tmp_path / "attempts/0123/deep").mkdir(parents=True)
    (tmp_path / f".inputs.json.{'0' * 16}.tmp").write_text("x")
    (tmp_path / f"commits/measure/.part.json.{'a' * 16}.tmp").write_text("x")
    sweep(tmp_path)
    assert snapshot(tmp_path) == before
    assert list((tmp_path / "attempts").iterdir()) == []
