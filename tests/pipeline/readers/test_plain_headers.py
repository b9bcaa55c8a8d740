"""The quick way through a tar's headers sees what tarfile sees, and leaves to it what is not plain."""

from __future__ import annotations

import io
import random
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from indexes.errors import DataError
from pipeline.readers._tars import tar_members
from pipeline.readers._tars.plain_headers import plain_member
from pipeline.readers._tars.tar_members import members, opened

Seen = list[tuple[str, int, int, int, bytes]]


def by_tarfile(path: Path) -> Seen:
    with tarfile.open(path, encoding="utf-8", errors="surrogateescape") as tar:
        return [(m.name, m.offset, m.offset_data, m.size, m.type) for m in tar]


def by_us(path: Path) -> Seen:
    with opened(str(path)) as file:
        return [(m.name, m.offset, m.offset_data, m.size, m.type) for m in members(file, str(path))]


def asked_tarfile(path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many members were left to tarfile, the end aside."""
    asked = 0
    former = tar_members._others

    def counted(*given):  # type: ignore[no-untyped-def]
        nonlocal asked
        for found in former(*given):
            asked += 1
            yield found

    monkeypatch.setattr(tar_members, "_others", counted)
    by_us(path)
    monkeypatch.undo()
    return asked


def add(tar: tarfile.TarFile, name: str, content: bytes = b"", **more: object) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for key, value in more.items():
        setattr(member, key, value)
    tar.addfile(member, io.BytesIO(content))


def plain(tar: tarfile.TarFile) -> None:
    for row in range(40):
        add(tar, f"{row}.jpg", b"x" * (row * 137), mtime=row, uname="who", mode=0o755)
        add(tar, f"é{row}.txt", b"")


def times(tar: tarfile.TarFile) -> None:
    for row in range(20):
        add(tar, f"{row}.jpg", b"x" * row, mtime=1_700_000_000.5 + row)


def odd(tar: tarfile.TarFile) -> None:
    add(tar, "folder", type=tarfile.DIRTYPE)
    add(tar, "a.jpg", b"1")
    add(tar, "link.jpg", type=tarfile.SYMTYPE, linkname="/etc/passwd")
    add(tar, "n" * 150 + ".jpg", b"22")
    add(tar, "b.jpg", b"333", pax_headers={"path": "other.jpg"})
    add(tar, "c.jpg", b"4444", pax_headers={"comment": "one\n12 path=x.jpg", "mtime": "1"})
    add(tar, "d.jpg", b"5", uid=2**40, pax_headers={"SCHILY.xattr.user": "z" * 3000})
    add(tar, "d.txt", b"6")


FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("fill", [plain, times, odd], ids=lambda fill: fill.__name__)
def test_members_are_those_of_tarfile(fill: Callable[..., None], form: str, tmp_path: Path) -> None:
    if (fill, form) == (odd, "ustar"):
        form = "pax"
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w", format=FORMATS[form]) as tar:
        fill(tar)
    assert by_us(path) == by_tarfile(path)
    assert len(by_us(path)) > 5


def test_plain_members_and_their_times_need_no_tarfile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.tar"
    for fill, form, left in ((plain, "ustar", 0), (plain, "gnu", 0), (times, "pax", 0), (odd, "pax", 6)):
        with tarfile.open(path, "w", format=FORMATS[form]) as tar:
            fill(tar)
        assert asked_tarfile(path, monkeypatch) == left


def test_what_is_said_of_all_members_holds_for_those_that_follow(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT, pax_headers={"path": "all.jpg"}) as tar:
        add(tar, "a.jpg", b"1")
        add(tar, "b.jpg", b"2")
    assert by_us(path) == by_tarfile(path)
    assert [name for name, *_ in by_us(path)] == ["all.jpg", "all.jpg"]


def test_a_changed_byte_never_makes_another_member(tmp_path: Path) -> None:
    """Where a header was damaged, the quick way finds what tarfile finds, or asks it."""
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        add(tar, "some/name.jpg", b"x" * 700, mtime=1.5)
    whole, rng = path.read_bytes(), random.Random(0)
    for place in [*range(512), *rng.choices(range(512, 1536), k=300)]:
        damaged = bytearray(whole)
        damaged[place] = rng.randrange(256)
        found = plain_member(io.BytesIO(damaged), 0)
        if found is not None:
            path.write_bytes(damaged)
            assert [(found.name, found.offset, found.offset_data, found.size, found.type)] == by_tarfile(path)


@pytest.mark.parametrize("kept", [1, 511, 513, 1024, 1536 + 700, 2048 + 512])
def test_a_cut_is_noticed(kept: int, tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        add(tar, "a.jpg", b"x" * 500)
        add(tar, "b.jpg", b"y" * 900)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match="truncated"):
        by_us(path)


def test_names_of_other_encodings_are_plain_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.GNU_FORMAT, encoding="latin-1") as tar:
        for name in ("caf\u00e9.jpg", "plain.jpg"):
            add(tar, name, b"x")
    assert by_us(tmp_path / "a.tar") == by_tarfile(tmp_path / "a.tar")
    assert [name for name, *_ in by_us(tmp_path / "a.tar")] == ["caf\udce9.jpg", "plain.jpg"]
    assert asked_tarfile(tmp_path / "a.tar", monkeypatch) == 0
