"""Purged samples are nowhere on a store, whatever a purge dies of, and whoever finishes it."""

from __future__ import annotations

import secrets
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from forked_commands import Forker
from purge_pool import said_of, write_purgeable
from store_servers import StoreServer, use

from indexes.errors import OutputError
from pipeline import layout
from pipeline.commit.copying import clear, keep_joined
from pipeline.commit.holding import hold_output, open_output
from pipeline.sets.tombstones import add_tombstones, stone, tombstones
from pipeline.stores.objects import Objects
from pipeline.stores.store_addresses import parse_address
from pipeline.stores.working_copies import connected, store_of

VICTIMS = (3, 8, 21)
STEPS = ("purge.tombstones", "purge.embedded")
"""Places between what a purge does one after the other, at which it is killed."""
MORE = (
    *("purge.pending", "purge.retired", "purge.forgotten", "purge.part", "purge.cut", "commit.files_retired"),
    *("store.uploaded", "store.before_record", "store.after_record"),
)


class Machine:
    """One who speaks to the server with working copies of its own."""

    def __init__(self, forked: Forker, server: StoreServer, folder: Path, copies: Path) -> None:
        self._forked, self._folder, self.copies = forked, folder, copies
        self._environment = server.variables | {"NEARFAR_COPIES": str(copies)}

    def does(self, *arguments: str, dies_at: str = "") -> tuple[int, str]:
        """Give a command."""
        point = f"{dies_at}=kill" if dies_at else ""
        return self._forked(*arguments, folder=self._folder, **self._environment, NEARFAR_FAILPOINT=point)


def brought_whole(place: str, into: Path) -> Path:
    """Bring everything that the store has of an output, as a user's own tool would."""
    for one in connected(place).listing():
        connected(place).download(one.name, into / one.name)
    return into


def saying(folder: Path, uids: dict[int, str]) -> list[str]:
    """List the files below a folder that say anything of who was purged."""
    return [path for number, uid in uids.items() for path in said_of(folder, number, uid)]


def names(place: str) -> dict[str, int]:
    return {one.name: one.bytes for one in connected(place).listing() if one.name != ".lock"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("purge")


@pytest.fixture(scope="module")
def finished(folder: Path, forked: Forker, server: StoreServer) -> str:
    """Where a finished run lies that has an export, with the uids of who is to go in `uids.txt`."""
    place = f"s3://bucket/{secrets.token_hex(4)}"
    write_purgeable(folder, place)
    machine = Machine(forked, server, folder, folder / "first machine")
    for arguments in (("run", "plan.yaml"), ("export", place, "whole")):
        status, said = machine.does(*arguments)
        assert status == 0, said
    with pytest.MonkeyPatch.context() as patch:
        use(server, patch)
        patch.setenv("NEARFAR_COPIES", str(machine.copies))
        rows = pq.read_table(open_output(place) / "samples/pool").to_pylist()
    uids = {int(row["url"].rpartition("/")[2]): row["uid"] for row in rows}
    (folder / "uids.txt").write_text("".join(f"{uids[number]}\n" for number in VICTIMS))
    return place


@pytest.fixture
def uids(folder: Path, finished: str) -> dict[int, str]:
    return dict(zip(VICTIMS, (folder / "uids.txt").read_text().split(), strict=True))


@pytest.fixture
def copied(finished: str, direct: StoreServer) -> str:
    """The same run under an address of its own."""
    place = f"s3://bucket/{secrets.token_hex(4)}"
    into = Objects(parse_address(place))
    for name in names(finished):
        held = connected(finished).read(name)
        assert held is not None
        into.write(name, held.content)
    return place


def test_nothing_says_a_purged_sample_any_more(
    copied: str, uids: dict[int, str], forked: Forker, direct: StoreServer, folder: Path, tmp_path: Path
) -> None:
    """Neither the store, nor the copy of a machine that had it all, once that looks at the store again."""
    one, other = (Machine(forked, direct, folder, tmp_path / name) for name in ("one", "other"))
    assert other.does("verify", copied)[0] == 0
    for place in (brought_whole(copied, tmp_path / "before"), other.copies):
        assert all(len(said_of(place, number, uid)) > 8 for number, uid in uids.items()), "the search finds"
    status, said = one.does("purge", copied, "--list", f"uid={folder / 'uids.txt'}")
    assert (status, "samples named: 3 of pool" in said, "2 parts were cut" in said) == (0, True, True), said
    assert other.does("status", copied)[0] == 0
    for place in (brought_whole(copied, tmp_path / "after"), one.copies, other.copies):
        assert saying(place, uids) == []

    status, said = other.does("run", "plan.yaml", "--set", f"output={copied}")
    assert status == 0, said
    for place in (brought_whole(copied, tmp_path / "again"), other.copies):
        assert saying(place, uids) == []
    assert other.does("verify", copied)[0] == 0
    status, said = one.does("purge", copied, "--list", f"uid={folder / 'uids.txt'}")
    assert (status, "nothing was changed" in said) == (0, True), said


@pytest.mark.parametrize("point", [*STEPS, *(pytest.param(point, marks=pytest.mark.soak) for point in MORE)])
def test_a_purge_that_is_killed_anywhere_is_finished_by_another_machine(
    copied: str,
    uids: dict[int, str],
    forked: Forker,
    direct: StoreServer,
    folder: Path,
    tmp_path: Path,
    point: str,
) -> None:
    """The next run finishes it: nothing of a purged sample is left, and what stays is what stays of any purge."""
    one, other = (Machine(forked, direct, folder, tmp_path / name) for name in ("one", "other"))
    assert one.does("purge", copied, "--list", f"uid={folder / 'uids.txt'}", dies_at=point)[0] == -9
    release(copied)
    status, said = other.does("run", "plan.yaml", "--set", f"output={copied}")
    assert status == 0, said
    there = brought_whole(copied, tmp_path / "after")
    assert saying(there, uids) == []
    status, said = other.does("purge", copied, "--list", f"uid={folder / 'uids.txt'}")
    assert (status, "nothing was changed" in said) == (0, True), said


def release(place: str) -> None:
    """Let the lease of who was killed have run out, for which nobody wants to wait."""
    connected(place).remove([".lock"])


def test_hashes_that_two_add_at_once_are_all_kept(
    direct: StoreServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that says that another was first is asked what stands there; nothing that is there is lost."""
    place, ours, theirs = (
        f"s3://bucket/{secrets.token_hex(4)}",
        stone("uid", "0" * 32),
        stone("uid", "1" * 32),
    )
    out = open_output(place)
    with hold_output(out):
        add_tombstones(out, [ours])
        held = connected(place).read(layout.TOMBSTONES)
        assert held is not None
        read, asked = Objects.read, []

        def late(self: Objects, name: str) -> object:
            """Between what is read and what is written, another adds."""
            found = read(self, name)
            if name == layout.TOMBSTONES and not asked:
                asked.append(name)
                (tmp_path / "other").mkdir()
                add_tombstones(tmp_path / "other", [theirs])
                self.write(name, (tmp_path / "other" / name).read_bytes())
            return found

        monkeypatch.setattr(Objects, "read", late)
        third = stone("uid", "2" * 32)
        assert add_tombstones(out, [third]) == {theirs, third}
        clear(out)
    assert layout.TOMBSTONES in names(place), "no --overwrite lets a purged sample in again"
    assert tombstones(open_output(place)) == {theirs, third}


def test_a_file_that_others_change_all_the_time(direct: StoreServer, monkeypatch: pytest.MonkeyPatch) -> None:
    out = open_output(f"s3://bucket/{secrets.token_hex(4)}")
    with hold_output(out):
        objects = store_of(out)
        assert objects is not None
        objects.write(layout.PURGE, b"{}")
        with monkeypatch.context() as busy:
            busy.setattr(Objects, "replace", lambda *of: None)
            with pytest.raises(OutputError, match="is changed by others all the time; run again"):
                keep_joined(out, layout.PURGE, lambda before: b"")
        keep_joined(out, layout.PURGE, lambda before: b"")
