"""What is said of ordinary tars at once is what is said of their samples one by one; all others are left alone."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexes.errors import DataError
from pipeline.readers._tars import ordinary_tars
from pipeline.readers._tars.ordinary_tars import OrdinaryTar, ordinary
from pipeline.readers._tars.tar_samples import Sample, scan

Members = list[tuple[str, bytes]]
PLAIN: Members = [
    (f"{key}.{kind}", content)
    for key in ("000000001", "00/02", "c-3_x")
    for kind, content in (("jpg", b"j" * 700), ("JSON", b"{}"), ("txt", b""))
]


def tar_of(members: Members, form: int = tarfile.PAX_FORMAT, time: float = 1_700_000_000.25) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=form) as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(content), time
            tar.addfile(member, io.BytesIO(content))
    return made.getvalue()


@contextmanager
def held(content: bytes) -> Iterator[int]:
    """Hold bytes as a file."""
    file = os.memfd_create("tar")
    try:
        os.write(file, content)
        yield file
    finally:
        os.close(file)


def said(found: OrdinaryTar) -> list[tuple[str, dict[str, tuple[int, int]]]]:
    begins = found.begins.tolist()
    members = list(zip(found.kind.tolist(), found.offset.tolist(), found.size.tolist(), strict=True))
    return [
        (key, {found.kinds[kind]: (offset, size) for kind, offset, size in members[first:last]})
        for key, first, last in zip(found.keys, begins[:-1], begins[1:], strict=True)
    ]


def one_by_one(samples: list[Sample]) -> list[tuple[str, dict[str, tuple[int, int]]]]:
    return [
        (one.key, {kind: (span.offset, span.size) for kind, span in one.members.items()})
        for one in samples
        if one.fault is None
    ]


def look(content: bytes) -> bool:
    """Compare what is said of a tar; says whether it is an ordinary one."""
    with held(content) as file:
        found = ordinary(file)
        if found is not None:
            assert said(found) == one_by_one(scan(f"/proc/self/fd/{file}"))
    return found is not None


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("time", [0, 1_700_000_000, 1_700_000_000.123456])
def test_tars_of_plain_files_are_ordinary(form: int, time: float) -> None:
    assert look(tar_of(PLAIN, form, time))
    assert look(
        tar_of([("1.jpg", b""), ("1.cls", b"7"), ("2.txt", b"no image"), ("3.png", b"p" * 5000)], form, time)
    )


def test_a_whole_folder_of_members_spans_many_reads() -> None:
    members = [
        (f"{row:06d}.{kind}", bytes(row % 3000)) for row in range(500) for kind in ("json", "png", "txt")
    ]
    assert look(tar_of(members))


OTHERS = {
    "a name with two dots": [("1.mask.png", b""), ("1.jpg", b"")],
    "a hidden file": [("1.jpg", b""), (".hidden.jpg", b"")],
    "a hidden file in a folder": [("1.jpg", b""), ("a/.jpg", b"")],
    "what macOS leaves": [("1.jpg", b""), ("__MACOSX/1.jpg", b"")],
    "what Windows leaves": [("1.jpg", b""), ("Thumbs.db", b"")],
    "no suffix": [("1.jpg", b""), ("README", b"")],
    "an empty suffix": [("1.jpg", b""), ("2.", b"")],
    "a long suffix": [("1.jpg", b""), ("1.segmentation", b"")],
    "a folder above": [("../1.jpg", b"")],
    "an absolute path": [("/1.jpg", b"")],
    "a letter that is none of ASCII": [("é.jpg", b"")],
    "a blank": [("a b.jpg", b"")],
    "a long name": [("x" * 120 + ".jpg", b"")],
    "a name of just a header": [("x" * 96 + ".jpg", b"")],
    "a suffix that repeats": [("1.jpg", b""), ("1.jpg", b"1")],
    "one that repeats in capitals": [("1.jpg", b""), ("1.JPG", b"1")],
    "a key that comes again": [("1.jpg", b""), ("2.jpg", b""), ("1.txt", b"")],
    "nothing": [],
}


@pytest.mark.parametrize("what", OTHERS)
def test_what_is_out_of_the_ordinary_is_left_alone(what: str) -> None:
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        assert not look(tar_of(OTHERS[what], form))


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE]
)
def test_what_is_no_plain_file_is_left_alone(kind: bytes) -> None:
    made = io.BytesIO(tar_of(PLAIN, tarfile.GNU_FORMAT))
    with tarfile.open(fileobj=made, mode="a") as tar:
        member = tarfile.TarInfo("other.txt")
        member.type, member.linkname = kind, "000000001.txt"
        tar.addfile(member)
    assert not look(made.getvalue())


def test_an_image_too_large_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ordinary_tars, "MAX_IMAGE_BYTES", 699)
    assert not look(tar_of(PLAIN))


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT])
def test_wherever_a_tar_is_cut_it_is_left_alone(form: int) -> None:
    whole = tar_of(PLAIN, form)
    end = len(whole.rstrip(b"\0"))
    for length in range(0, len(whole), 100):
        short = whole[:length]
        if look(short):  # two blocks of zeros are left of its end
            assert length >= end + 1024
    assert not look(whole + whole)
    assert not look(whole + b"\0" * 512 + b"1")
    assert look(whole + b"\0" * 5000)


FIELDS = (0, 1, 8, 9, 13, 99, *range(124, 136), *range(148, 157), *range(257, 265), 345)
VALUES = b"\x00\x01 0178x./:"


@pytest.mark.parametrize("header", [0, 2, 4])
@pytest.mark.parametrize("mended", [True, False])
def test_whatever_a_header_says_both_say_the_same_of_it(header: int, mended: bool) -> None:
    """Headers 0 and 4 are of further keys, and 2 is of the first file; each byte that is looked at is changed."""
    whole = tar_of(PLAIN[:2])
    place = header * 512 if header < 4 else 1024 + 512 + 1024
    for field, value in product(FIELDS, VALUES):
        changed = bytearray(whole)
        changed[place + field] = value
        if mended and not 148 <= field < 156:
            block = changed[place : place + 512]
            block[148:156] = b" " * 8
            changed[place + 148 : place + 156] = b"%06o\0 " % sum(block)
        try:
            look(bytes(changed))
        except DataError:
            pytest.fail(f"byte {field} as {value}: said to be ordinary, and refused one by one")


@given(st.integers(512, 600), st.integers(0, 255))
def test_whatever_further_keys_say_both_say_the_same_of_it(place: int, value: int) -> None:
    changed = bytearray(tar_of(PLAIN[:1]))
    changed[place] = value
    look(bytes(changed))
