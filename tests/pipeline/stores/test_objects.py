"""Objects of a store are whole or absent, and of two writers one wins, whatever becomes of the answers."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from store_proxy import Faults

from indexes.errors import OutputError
from pipeline.stores import objects as objects_module
from pipeline.stores.objects import Objects
from pipeline.stores.store_addresses import parse_address

BODY = bytes(range(256)) * 40


@pytest.fixture
def objects(faults: Faults, monkeypatch: pytest.MonkeyPatch) -> Objects:
    monkeypatch.setattr(objects_module, "_wait", lambda tried: None)
    return Objects(parse_address(f"s3://bucket/{secrets.token_hex(4)}"))


def test_what_is_written_is_read_listed_and_removed(objects: Objects, tmp_path: Path) -> None:
    assert objects.read("a/x") is None
    assert objects.size("a/x") is None
    (tmp_path / "file").write_bytes(BODY)
    objects.write("a/x é.bin", tmp_path / "file")
    objects.write("b", b"")
    assert [(one.name, one.bytes) for one in objects.listing()] == [("a/x é.bin", len(BODY)), ("b", 0)]
    assert [one.name for one in objects.listing("a")] == ["a/x é.bin"]
    objects.download("a/x é.bin", tmp_path / "new" / "copy")
    assert (tmp_path / "new" / "copy").read_bytes() == BODY
    beside = Objects(parse_address(f"{objects.address}0"))  # whose name begins with that of the other
    beside.write("c", b"")
    assert [one.name for one in objects.listing()] == ["a/x é.bin", "b"]
    assert [one.name for one in beside.listing()] == ["c"]
    objects.remove(["a/x é.bin", "never"])
    with pytest.raises(FileNotFoundError):
        objects.download("a/x é.bin", tmp_path / "gone")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "new"]


def test_a_file_of_several_pieces_arrives_whole(objects: Objects, tmp_path: Path) -> None:
    content = secrets.token_bytes(1 << 20) * 33
    (tmp_path / "large").write_bytes(content)
    objects.write("large", tmp_path / "large")
    objects.download("large", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content


@pytest.mark.parametrize(
    ("fault", "method", "part"),
    [
        *((fault, "PUT", "partNumber=2") for fault in ("503", "lost", "refused", "shortened")),
        *((fault, "POST", "uploads") for fault in ("503", "lost")),
        *((fault, "POST", "uploadId=") for fault in ("503", "lost", "refused")),
    ],
)
def test_an_upload_that_breaks_between_its_pieces_arrives_whole_or_not_at_all(
    objects: Objects, faults: Faults, monkeypatch: pytest.MonkeyPatch, fault: str, method: str, part: str
) -> None:
    monkeypatch.setattr(objects_module, "_PIECE", 5 << 20)  # what S3 takes at least
    content = secrets.token_bytes(1 << 10) * (11 << 10)
    faults.add(fault, method, part)
    objects.write("large", content)
    assert faults.left() == 0
    held = objects.read("large")
    assert held is not None
    assert held.content == content


def test_of_many_writers_one_wins(objects: Objects) -> None:
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda i: objects.write_new("record", f"writer {i}".encode()), range(8)))
    (winner,) = [i for i, version in enumerate(won) if version is not None]
    held = objects.read("record")
    assert held is not None
    assert held.content == f"writer {winner}".encode()
    assert held.version == won[winner]


def test_of_many_who_saw_one_state_one_replaces_it(objects: Objects) -> None:
    first = objects.write_new("lease", b"first")
    assert first is not None
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda i: objects.replace("lease", f"writer {i}".encode(), first), range(8)))
    assert sum(version is not None for version in won) == 1
    assert objects.replace("lease", b"late", first) is None
    assert objects.replace("absent", b"late", first) is None


@pytest.mark.parametrize("fault", ["lost", "409 after"])
def test_a_write_whose_answer_is_lost_is_won_if_it_stands(
    objects: Objects, faults: Faults, fault: str
) -> None:
    faults.add(fault, "PUT", "record")
    version = objects.write_new("record", b"mine")
    assert version is not None
    assert faults.left() == 0
    faults.add(fault, "PUT", "record")
    again = objects.replace("record", b"mine, later", version)
    assert again is not None
    held = objects.read("record")
    assert held is not None
    assert (held.content, held.version) == (b"mine, later", again)


@pytest.mark.parametrize("fault", ["lost", "409", "409 after", "503", "refused"])
def test_a_write_that_meets_a_fault_is_lost_where_anothers_stands(
    objects: Objects, faults: Faults, fault: str
) -> None:
    first = objects.write_new("record", b"another's")
    assert first is not None
    second = objects.replace("record", b"another's second", first)
    faults.add(fault, "PUT", "record")
    assert objects.write_new("record", b"mine") is None
    faults.add(fault, "PUT", "record")
    assert objects.replace("record", b"mine", first) is None
    held = objects.read("record")
    assert held is not None
    assert (held.content, held.version, faults.left()) == (b"another's second", second, 0)


@pytest.mark.parametrize("fault", ["409", "503", "refused"])
def test_a_write_that_was_not_done_is_done_again(objects: Objects, faults: Faults, fault: str) -> None:
    faults.add(fault, "PUT", "record", times=2)
    first = objects.write_new("record", b"mine")
    assert first is not None
    faults.add(fault, "PUT", "record", times=2)
    assert objects.replace("record", b"mine, later", first) is not None
    held = objects.read("record")
    assert held is not None
    assert (held.content, faults.left()) == (b"mine, later", 0)


def test_a_busy_store_is_asked_again(objects: Objects, faults: Faults, tmp_path: Path) -> None:
    for method in ("PUT", "HEAD", "GET", "POST"):
        faults.add("503", method, times=2)
    objects.write("x", BODY)
    assert [one.name for one in objects.listing()] == ["x"]
    objects.download("x", tmp_path / "x")
    objects.remove(["x"])
    assert objects.listing() == []
    assert faults.left() == 0


def test_a_torn_upload_is_sent_again(objects: Objects, faults: Faults) -> None:
    """A server that checks the body's signature refuses the half; one that does not is asked what it holds."""
    faults.add("shortened", "PUT", "part")
    try:
        objects.write("part", BODY)
    except OutputError:  # SeaweedFS says that the signature is wrong, and holds nothing
        assert objects.size("part") is None
        objects.write("part", BODY)
    held = objects.read("part")
    assert held is not None
    assert (held.content, faults.left()) == (BODY, 0)


def test_a_torn_upload_over_an_object_of_the_same_size_is_sent_again(
    objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its size says nothing: what stands is the former one."""
    objects.write("x", b"old")
    real, torn = objects._put, [True]
    monkeypatch.setattr(objects, "_put", lambda *given: None if torn and torn.pop() else real(*given))
    objects.write("x", b"new")
    held = objects.read("x")
    assert held is not None
    assert (held.content, torn) == (b"new", [])


def test_a_download_that_the_client_gave_up_is_begun_again(
    objects: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects.write("x", BODY)
    failing = [True, True]

    def chunks(name: str) -> Iterator[bytes]:
        yield BODY[:100]
        if failing:
            failing.pop()
            raise OutputError("it broke off")
        yield BODY[100:]

    monkeypatch.setattr(objects, "chunks", chunks)
    objects.download("x", tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == BODY
    failing[:] = [True] * 100
    with pytest.raises(OutputError, match="it broke off"):
        objects.download("x", tmp_path / "y")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_torn_download_is_asked_for_again(objects: Objects, faults: Faults, tmp_path: Path) -> None:
    objects.write("part", BODY)
    faults.add("broken off", "GET", "part", times=2)
    objects.download("part", tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == BODY
    assert faults.left() == 0
    assert [path.name for path in tmp_path.iterdir()] == ["part"]
