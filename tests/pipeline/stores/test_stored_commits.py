"""The commit contract on a store: a unit is done once, by whoever's record stands, and nothing is lost or torn."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from store_proxy import Faults

from indexes.errors import OutputError, RunFailedError
from pipeline.commit import Record, Unit, attempt, check_sound, find, forget, is_sound, records, retire, sweep
from pipeline.commit.copying import clear, keep, pull
from pipeline.commit.holding import at_work_on, hold_output, open_output
from pipeline.commit.on_stores import object_name, opened
from pipeline.stores import objects as objects_module
from pipeline.stores.lease import LEASE
from pipeline.stores.objects import Objects, Version
from pipeline.stores.working_copies import folder_of, place_of, store_of

UNIT = Unit("measure", "part-0000", "as it is")
PATH = "measures/m/part-0000.txt"


@pytest.fixture
def address(faults: Faults, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    monkeypatch.setattr(objects_module, "_wait", lambda tried: None)
    monkeypatch.setenv("NEARFAR_COPIES", str(tmp_path / "one machine"))
    return f"s3://bucket/{secrets.token_hex(4)}"


@pytest.fixture
def out(address: str) -> Path:
    return open_output(address)


def objects_of(out: Path) -> Objects:
    found = store_of(out)
    assert found is not None
    return found


def commit(out: Path, content: str = "content", unit: Unit = UNIT, path: str = PATH) -> Record:
    with attempt(out, unit) as trying:
        trying.file(path).write_text(content)
        trying.add(path)
        return trying.commit({"content": content})


def names(out: Path) -> set[str]:
    return {one.name for one in objects_of(out).listing()} - {LEASE}


@contextmanager
def another_machine(address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    with monkeypatch.context() as there:
        there.setenv("NEARFAR_COPIES", str(tmp_path / "another machine"))
        yield open_output(address)


def test_what_is_committed_is_on_the_store_and_another_machine_has_it(
    address: str, out: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with hold_output(out):
        record = commit(out)
    assert place_of(out) == address
    assert names(out) == {"commits/measure/part-0000.json", object_name(PATH, record.outputs[0].sha256)}
    with another_machine(address, monkeypatch, tmp_path) as there:
        assert there != out
        assert find(there, UNIT) == record
        assert (there / "commits/measure/part-0000.json").read_bytes() == (
            out / "commits/measure/part-0000.json"
        ).read_bytes()
        assert not (there / PATH).exists()
        check_sound(there, record.outputs)
        assert (there / PATH).read_text() == "content"


@pytest.mark.parametrize(
    ("part", "fault"),
    [("commits/", fault) for fault in ("lost", "409 after", "409", "503", "refused")]
    + [("measures/", fault) for fault in ("lost", "503", "refused")],  # which are written without a condition
)
def test_faults_of_the_store_change_nothing(out: Path, faults: Faults, fault: str, part: str) -> None:
    with hold_output(out):
        faults.add(fault, "PUT", part)
        record = commit(out)
        assert faults.left() == 0
        assert find(out, UNIT) == record
        pull(out)
        assert find(out, UNIT) == record


def test_who_comes_second_has_the_record_of_the_first(
    address: str, out: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A worker that was thought dead commits beside the one that took its place; the run is the same."""
    with hold_output(out), another_machine(address, monkeypatch, tmp_path) as there:
        (there / ".lock").write_bytes((out / ".lock").read_bytes())
        first = commit(out)
        assert commit(there) == first
        assert commit(there, "other bytes of the same unit") == first
        check_sound(there, first.outputs)
        assert (there / PATH).read_text() == "content"


def test_a_run_that_lost_its_lease_commits_nothing(out: Path) -> None:
    theirs = b'{"pid": 1, "host": "h", "token": "t", "copy": "c", "beat": 0, "held": true}'
    took_over = "another run took over"
    run = hold_output(out)
    run.__enter__()
    with attempt(out, UNIT) as trying:
        trying.file(PATH).write_text("content")
        trying.add(PATH)
        objects_of(out).write(LEASE, theirs)
        with pytest.raises(RunFailedError, match=f"{took_over} .* while unit measure/part-0000 was at work"):
            trying.commit()
    assert find(out, UNIT) is None
    assert not [name for name in names(out) if name.startswith("commits/")]
    for change in (lambda: forget(out, UNIT), lambda: clear(out), lambda: keep(out, "plan.lock.yaml", b"")):
        with pytest.raises(RunFailedError, match=took_over):
            change()
    with pytest.raises(RunFailedError, match=f"{took_over} .*, so nothing more is done there"):
        run.__exit__(None, None, None)


def test_a_run_that_wakes_after_another_took_over_writes_over_nothing(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was suspended between its look at the lease and its record, for longer than the lease lasts."""
    with hold_output(out):
        newer = commit(out, "newer", Unit(UNIT.stage, UNIT.name, "as it is later"))
        objects, name = objects_of(out), "commits/measure/part-0000.json"
        held, lease = objects.read(name), objects.read(LEASE)
        assert held is not None
        assert lease is not None
        objects.remove([name])
        (out / name).unlink()
        asleep = Objects.write_new

        def wakes(self: Objects, name: str, content: bytes) -> Version | None:
            self.write(LEASE, b'{"pid": 1, "host": "h", "token": "t", "copy": "c"}')
            self.write(name, held.content)
            return asleep(self, name, content)

        with monkeypatch.context() as between:
            between.setattr(Objects, "write_new", wakes)
            with pytest.raises(RunFailedError, match="another run took over"):
                commit(out)
        standing = objects.read(name)
        assert standing is not None
        assert opened(standing.content) == newer
        objects.write(LEASE, lease.content)


def test_a_file_under_its_own_name_is_not_written_over_by_one_that_wakes(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hold_output(out):
        keep(out, "plan.lock.yaml", b"plan")
        objects, asleep = objects_of(out), Objects.replace
        lease = objects.read(LEASE)
        assert lease is not None

        def wakes(self: Objects, name: str, content: bytes, version: Version) -> Version | None:
            self.write(LEASE, b'{"pid": 1, "host": "h", "token": "t", "copy": "c"}')
            self.write(name, b"another's plan")
            return asleep(self, name, content, version)

        with monkeypatch.context() as between:
            between.setattr(Objects, "replace", wakes)
            with pytest.raises(RunFailedError, match="another run took over"):
                keep(out, "plan.lock.yaml", b"plan of ours")
        standing = objects.read("plan.lock.yaml")
        assert standing is not None
        assert standing.content == b"another's plan"
        objects.write(LEASE, lease.content)


def test_a_record_whose_object_is_gone_counts_for_nothing(
    address: str, out: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with hold_output(out):
        record = commit(out)
    objects_of(out).remove([object_name(PATH, record.outputs[0].sha256)])
    with another_machine(address, monkeypatch, tmp_path) as there:
        assert find(there, UNIT) is None
    with hold_output(out):
        assert find(out, UNIT) is None
        assert commit(out) == record
        pull(out)
        assert find(out, UNIT) == record


def test_only_a_whole_record_of_the_same_unit_stands_before_ones_own(
    address: str, out: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A machine that knows nothing of the record: first its object is gone, then it is of another state of the unit."""
    with hold_output(out), another_machine(address, monkeypatch, tmp_path) as there:
        (there / ".lock").write_bytes((out / ".lock").read_bytes())
        first = commit(out)
        objects_of(out).remove([object_name(PATH, first.outputs[0].sha256)])
        own = commit(there, "other bytes of the same unit")
        assert own.facts == {"content": "other bytes of the same unit"}
        (there / "commits" / "measure" / "part-0000.json").unlink()
        later = Unit(UNIT.stage, UNIT.name, "as it is later")
        assert commit(there, "later", later).facts == {"content": "later"}


@pytest.mark.parametrize("torn", [b"{torn", b"[]", b'{"token": 1}', b'{"record": {"stage": 1}}', b"\xff"])
def test_what_is_no_record_is_none(torn: bytes) -> None:
    assert opened(torn) is None


def test_a_torn_record_counts_for_nothing_and_is_replaced(out: Path) -> None:
    with hold_output(out):
        record = commit(out)
        objects = objects_of(out)
        held = objects.read("commits/measure/part-0000.json")
        assert held is not None
        objects.write("commits/measure/part-0000.json", held.content.replace(b"content", b"contenT"))
        pull(out)
        assert find(out, UNIT) is None
        assert commit(out) == record


def test_what_no_record_names_goes_and_what_is_the_users_stays(out: Path) -> None:
    objects = objects_of(out)
    theirs = ["notes.txt", "measures/m/notes.txt", "elsewhere/part-0000.0123456789abcdef.txt"]
    for name in theirs:
        objects.write(name, b"of the user")
    objects.write("measures/m/part-0001.0123456789abcdef.txt", b"of an attempt that was killed")
    with hold_output(out):
        sweep(out)
        assert names(out) == set(theirs)
        old = commit(out, "old")
        new = commit(out, "new", Unit(UNIT.stage, UNIT.name, "changed"))
        assert object_name(PATH, old.outputs[0].sha256) in names(out)  # until the run has ended
    assert names(out) == {*theirs, "commits/measure/part-0000.json", object_name(PATH, new.outputs[0].sha256)}
    with hold_output(out):
        keep(out, "plan.lock.yaml", b"plan")
        clear(out)
        assert names(out) == set(theirs)


def test_what_is_taken_back_is_taken_back_on_the_store(out: Path) -> None:
    with hold_output(out):
        commit(out)
        forget(out, UNIT)
        assert "commits/measure/part-0000.json" not in names(out)
        commit(out)
        retire(out, "measure", lambda record: True)
        assert records(out, "measure") == []
    assert names(out) == set()


def test_a_copy_that_rotted_is_mended_from_the_store(out: Path) -> None:
    with hold_output(out):
        record = commit(out)
    (out / PATH).write_text("CONTENT")
    assert is_sound(out, record.outputs[0])
    assert (out / PATH).read_text() == "content"
    (out / PATH).write_text("CONTENT")
    objects_of(out).write(object_name(PATH, record.outputs[0].sha256), b"CONTENT")
    with pytest.raises(OutputError, match="is not what was committed"):
        check_sound(out, record.outputs)


def test_a_listing_that_lacks_the_newest_loses_nothing(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record's objects are asked for one by one where a listing does not show them."""
    with hold_output(out):
        record = commit(out)
        whole = Objects.listing
        monkeypatch.setattr(
            Objects,
            "listing",
            lambda self, under="": [one for one in whole(self, under) if "measures" not in one.name],
        )
        pull(out)
        assert find(out, UNIT) == record


def test_who_is_at_work_is_known_from_another_machine(
    address: str, out: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("pipeline.stores.lease.RENEWED_EVERY", 0.1)
    with another_machine(address, monkeypatch, tmp_path) as there:
        assert at_work_on(there) is None
        with hold_output(out) as mine:
            assert at_work_on(there) == mine
        assert at_work_on(there) is None
    assert folder_of(address) == out
