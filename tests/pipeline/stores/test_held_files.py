"""Files of sets that are here while somebody holds them: in one state, within the room, and never as zeros."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import secrets
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from store_proxy import Faults
from store_servers import StoreServer

from indexes.errors import BadInputError, DataError, OutputError
from pipeline.execution.one_ahead import one_ahead
from pipeline.files.afar.far_reading import open_near_or_far
from pipeline.files.afar.stand_ins import HELD, StandIn, is_there, length_of, stand_in
from pipeline.files.digests import sha256_of
from pipeline.files.inputs import Input, stamp_of
from pipeline.files.parquet import parquet_rows, read_parquet
from pipeline.files.vector_file import array_names
from pipeline.files.vectors import inspect, take
from pipeline.readers import detect, reader_of
from pipeline.sets.source import Source
from pipeline.stores.brought_sets import brought
from pipeline.stores.far_files import FarPiece, far_object, read_pieces
from pipeline.stores.held_files import bring_ahead, held
from pipeline.stores.held_room import said_room
from pipeline.stores.objects import Objects
from pipeline.stores.set_states import set_root
from pipeline.stores.store_addresses import parse_address
from pipeline.stores.working_copies import copies_folder

SIZE = 3000


@pytest.fixture
def objects(direct: StoreServer, monkeypatch: pytest.MonkeyPatch) -> Objects:
    """A folder of three tars, of which the room takes two."""
    monkeypatch.setenv("NEARFAR_ROOM", f"{2.1 * SIZE / 1000}kB")
    found = Objects(parse_address(f"s3://bucket/{secrets.token_hex(4)}"))
    for number in range(3):
        found.write(f"{number}.tar", bytes([number + 1]) * SIZE)
    return found


@pytest.fixture
def root(objects: Objects) -> Path:
    return Path(brought(str(objects.address)))


def here() -> int:
    return sum(
        path.is_file() and not path.name.startswith(".") for path in (copies_folder() / HELD).glob("*")
    )


def far(path: Path) -> StandIn:
    found = stand_in(path)
    assert found is not None
    return found


def test_a_file_that_is_not_here_can_be_seen_and_not_be_read(root: Path) -> None:
    tar = root / "0.tar"
    before = stamp_of(tar)
    assert (here(), is_there(tar), tar.exists(), length_of(tar)) == (0, True, False, SIZE)
    with pytest.raises(FileNotFoundError):
        tar.read_bytes()
    with held([tar, root / "0.tar"]):
        assert tar.read_bytes() == b"\1" * SIZE
        assert stamp_of(tar) == before
    assert not is_there(root / "another.tar")
    assert stand_in(root) is None


def test_what_is_held_stays_and_what_is_not_makes_room(root: Path) -> None:
    tars = [root / f"{number}.tar" for number in range(3)]
    for tar in tars[:2]:
        with held([tar]):
            pass
    with held([tars[1]]):
        pass
    with held([tars[2]]):  # in place of the first, which was used longest ago
        assert (here(), tars[0].exists(), tars[1].exists()) == (2, False, True)
        came = threading.Event()

        def others() -> None:
            with held(tars[:2]):
                came.set()

        waiting = threading.Thread(target=others)
        waiting.start()
        assert not came.wait(0.3), "two fit, and one of them is held"
        assert tars[2].read_bytes() == b"\3" * SIZE
    assert came.wait(20)
    waiting.join()
    assert here() == 2


def test_more_than_has_room_is_refused_until_it_has(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tars = sorted(root.glob("*.tar"))
    monkeypatch.setenv("NEARFAR_ROOM", "2 KB")
    said = r"3,000 bytes, and there is room for 2,000 at .*; set NEARFAR_ROOM to more"
    with pytest.raises(OutputError, match=said), held(tars):
        pass
    assert here() == 0
    monkeypatch.setenv("NEARFAR_ROOM", "9 KB")
    with held(tars):
        assert [len(tar.read_bytes()) for tar in tars] == [SIZE] * 3


def test_what_has_no_room_together_comes_one_by_one(root: Path) -> None:
    """Each stays while it is open; of one that would have to wait for those, ranges are read."""
    tars = [root / f"{number}.tar" for number in range(3)]
    with held(tars):
        assert here() == 0
        assert [sha256_of(tar) for tar in tars] == [
            hashlib.sha256(bytes([n]) * SIZE).hexdigest() for n in (1, 2, 3)
        ]
        assert here() == 2
        with open_near_or_far(tars[0]) as first, open_near_or_far(tars[1]) as second:
            assert [tar.exists() for tar in tars] == [True, True, False]
            with open_near_or_far(tars[2]) as third:
                assert [one.read() for one in (first, second, third)] == [
                    bytes([n]) * SIZE for n in (1, 2, 3)
                ]
            assert not tars[2].exists()
        with open_near_or_far(tars[2]) as third:
            assert (third.read(1), tars[2].exists()) == (b"\3", True)
    with held(tars[:2]), held(tars[2:]):
        assert tars[2].exists() is False
        assert sha256_of(tars[2]) == hashlib.sha256(b"\3" * SIZE).hexdigest()


@pytest.mark.parametrize(
    ("text", "size"),
    [("12", 12), ("1.5TiB", 3 << 39), ("500 GB", 500 * 10**9), ("2M", 2 * 10**6), (" ", None)],
)
def test_room_is_said_as_people_say_it(text: str, size: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEARFAR_ROOM", text)
    assert said_room() == size


def test_room_that_is_no_size_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEARFAR_ROOM", "much")
    with pytest.raises(BadInputError, match="no size; set it to one such as 500GB"), held([root / "0.tar"]):
        pass
    monkeypatch.setenv("NEARFAR_ROOM", "500GB")
    with held([root / "0.tar"]):
        pass


def test_three_quarters_of_the_disk_are_room_where_nothing_is_said(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NEARFAR_ROOM")
    tars = sorted(root.glob("*.tar"))
    with held(tars[:1]):
        monkeypatch.setattr("pipeline.stores.held_room.free_bytes", lambda path: 3 * SIZE - SIZE * here())
        with held(tars[1:2]):
            pass
        monkeypatch.setattr("pipeline.stores.held_room.free_bytes", lambda path: 999 - SIZE)
        with pytest.raises(OutputError, match="there is room for 2,999"), held(tars[2:]):
            pass


def test_bytes_that_were_altered_here_are_brought_again(root: Path) -> None:
    tar = root / "0.tar"
    with held([tar]):
        before = stamp_of(tar)
        far(tar).held.write_bytes(b"r" * SIZE)
        assert stamp_of(tar) != before, "who reads it meanwhile sees that it changed"
    with held([tar]):
        assert (tar.read_bytes(), stamp_of(tar)) == (b"\1" * SIZE, before)


def test_an_object_in_another_state_is_refused(root: Path, objects: Objects) -> None:
    said = "0.tar' changed since the run began; stop what is writing to it and run again"
    seen = far_object(far(root / "0.tar"))
    objects.write("0.tar", b"9" * SIZE)
    with pytest.raises(DataError, match=said), held([root / "0.tar"]):
        pass
    with pytest.raises(DataError, match=said):
        seen.part(0, 1)
    objects.write("0.tar", b"9")
    with pytest.raises(DataError, match=said):
        seen.part(10, 20)
    objects.remove(["0.tar"])
    with pytest.raises(DataError, match=said):
        seen.part(0, 1)
    with pytest.raises(DataError, match=said), held([root / "0.tar"]):
        pass
    assert here() == 0
    objects.write("0.tar", b"8" * SIZE)
    brought(str(objects.address))
    with held([root / "0.tar"]):
        assert (root / "0.tar").read_bytes() == b"8" * SIZE


def test_a_set_that_is_forgotten_is_known_again_by_a_look_at_the_store(root: Path, objects: Objects) -> None:
    folder = set_root(root)
    assert folder == root.parent
    (folder / ".brought.json").unlink()
    with pytest.raises(DataError, match="run again, which looks at the store"), held([root / "0.tar"]):
        pass
    brought(str(objects.address))
    with held([root / "0.tar"]):
        pass


def test_a_disk_without_locks_is_said(
    root: Path, objects: Objects, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    flock = fcntl.flock
    without = copies_folder().stat().st_ino

    def refusing(descriptor: int, kind: int) -> None:
        if copies_folder().stat().st_ino == without:
            raise OSError(errno.ENOLCK, "No locks available")
        flock(descriptor, kind)

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", refusing)
        with (
            pytest.raises(OutputError, match="set NEARFAR_COPIES to a folder on another"),
            held([root / "0.tar"]),
        ):
            pass
        patch.setenv("NEARFAR_COPIES", str(tmp_path / "with locks"))
        with held([Path(brought(str(objects.address))) / "0.tar"]):
            pass


def test_what_comes_ahead_takes_no_room_from_who_holds(root: Path, objects: Objects) -> None:
    tars = sorted(root.glob("*.tar"))
    with held(tars[:2]):
        bring_ahead(tars[2:])
        assert [tar.exists() for tar in tars] == [True, True, False]
    bring_ahead(tars[2:])
    assert tars[2].exists()
    objects.remove(["0.tar"])
    bring_ahead(tars[:1])  # whoever holds it will say so


def test_a_set_of_few_bytes_is_here_from_the_beginning(
    objects: Objects, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NEARFAR_ROOM", f"{8 * 3 * SIZE}")
    root = Path(brought(str(objects.address)))
    assert "bringing 3 objects (9,000 bytes)" in capsys.readouterr().err
    assert [(root / f"{number}.tar").read_bytes()[0] for number in range(3)] == [1, 2, 3]
    assert brought(str(objects.address)) == str(root)
    assert "bringing" not in capsys.readouterr().err


def test_headers_and_single_rows_are_read_without_the_file(
    faults: Faults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan knows shards by their ends alone, and no more comes here than that."""
    monkeypatch.setenv("NEARFAR_COPIES", str(tmp_path / "copies"))
    monkeypatch.setenv("NEARFAR_ROOM", "1")
    vectors = np.random.default_rng(0).standard_normal((40_000, 32)).astype(np.float16)
    pool = tmp_path / "pool"
    pool.mkdir()
    np.savez(pool / "0.npz", b32_img=vectors, l14_img=vectors[:, :16])
    np.save(pool / "v.npy", vectors)
    table = pa.table({"uid": [f"{number:032x}" for number in range(40_000)], "x": np.arange(40_000)})
    pq.write_table(table, pool / "0.parquet", compression="none", row_group_size=5000)
    objects = Objects(parse_address(f"s3://bucket/{secrets.token_hex(4)}"))
    for path in pool.iterdir():
        objects.write(path.name, path)
    root = Path(brought(str(objects.address)))
    faults.asked.clear()
    assert parquet_rows(root / "0.parquet") == 40_000
    assert len(faults.asked) == 1
    for path, array in (("v.npy", None), ("0.npz", "b32_img"), ("0.npz", "l14_img")):
        near, afar = inspect(pool / path, array), inspect(root / path, array)
        assert (near.rows, near.width, near.dtype) == (afar.rows, afar.width, afar.dtype)
        rows = np.array([39_999, 0, 20_000])
        assert (take(afar, rows) == take(near, rows)).all()
    assert array_names(str(root / "0.npz")) == ("b32_img", "l14_img")
    assert read_parquet(root / "0.parquet", ["x"]).column("x").to_pylist() == list(range(40_000))
    assert detect(root) == detect(pool) == ("datacomp",)
    (root.parent / "files" / "v.npy").unlink()
    (pool / "v.npy").unlink()
    near, afar = (
        reader_of("datacomp").shards(Source(path=str(one), format="datacomp")) for one in (pool, root)
    )
    assert [(one.name, one.rows, set(one.vectors)) for one in near] == [
        (one.name, one.rows, set(one.vectors)) for one in afar
    ]
    assert here() == 0


def test_a_file_of_several_pieces_arrives_whole(
    faults: Faults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the network does with some of them."""
    monkeypatch.setenv("NEARFAR_COPIES", str(tmp_path / "copies"))
    monkeypatch.setenv("NEARFAR_ROOM", "1MB")
    monkeypatch.setattr("pipeline.stores.far_bringing._PIECE", 100_000)
    content = np.random.default_rng(0).bytes(750_000)
    objects = Objects(parse_address(f"s3://bucket/{secrets.token_hex(4)}"))
    objects.write("0.tar", content)
    tar = Path(brought(str(objects.address))) / "0.tar"
    faults.asked.clear()
    for fault in ("503", "broken off", "refused"):
        faults.add(fault, "GET", "0.tar")
    with held([tar]):
        assert tar.read_bytes() == content
    assert faults.left() == 0
    assert sum(method == "GET" for method, _ in faults.asked) >= 8 + 3


def test_the_files_of_the_next_units_come_meanwhile(root: Path) -> None:
    tars = [root / f"{number}.tar" for number in range(3)]
    groups: Any = [[SimpleNamespace(inputs=[Input(str(tar), tar.name)])] for tar in tars]
    for number, _ in enumerate(one_ahead(groups)):
        with held([tars[number]]):
            until = time.monotonic() + 20
            while not all(tar.exists() for tar in tars[number : number + 2]) and time.monotonic() < until:
                time.sleep(0.01)
            assert all(tar.exists() for tar in tars[number : number + 2]), number


def test_pieces_that_lie_together_are_asked_for_at_once(
    faults: Faults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEARFAR_COPIES", str(tmp_path / "copies"))
    monkeypatch.setenv("NEARFAR_ROOM", "1")
    content = np.random.default_rng(0).bytes(100_000)
    objects = Objects(parse_address(f"s3://bucket/{secrets.token_hex(4)}"))
    objects.write("0.tar", content)
    seen = far_object(far(Path(brought(str(objects.address))) / "0.tar"))
    faults.asked.clear()
    places = [(90_000, 10_000), (0, 500), (1000, 0), (600, 700), (500, 50)]
    pieces = [FarPiece(seen, offset, memoryview(bytearray(size))) for offset, size in places]
    read_pieces(pieces)
    assert [bytes(one.into) for one in pieces] == [content[at : at + size] for at, size in places]
    assert len(faults.asked) == 2
