"""Headers are tarfile's own, and a tar depends on names and content alone."""

from __future__ import annotations

import io
import tarfile

import pytest

from pipeline.webdataset.tar_writing import TarStream, header


@pytest.mark.parametrize(
    ("name", "size"),
    [("a.jpg", 0), ("0" * 32 + ".json", 1), ("x" * 100, 8**11 - 1), ("é.txt", 77), ("f/b.mask.png", 12345)],
)
def test_a_plain_header_is_that_of_tarfile(name: str, size: int) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    assert header(name, size) == info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "surrogateescape")


def test_a_long_name_is_read_back() -> None:
    name = "y" * 140 + ".txt"
    with tarfile.open(fileobj=io.BytesIO(header(name, 3) + b"abc" + bytes(509 + 1024)), mode="r:") as tar:
        member = tar.next()
        assert member is not None
        assert (member.name, member.size) == (name, 3)
        content = tar.extractfile(member)
        assert content is not None
        assert content.read() == b"abc"


def test_a_member_beyond_eight_gigabytes_says_its_size() -> None:
    member = tarfile.TarInfo.frombuf(header("a.jpg", 8**11), "utf-8", "surrogateescape")
    assert member.size == 8**11


def test_a_tar_is_that_of_tarfile_to_the_last_byte() -> None:
    files = {"a.jpg": b"\xff" * 700, "a.txt": b"", "b.json": b"{}" * 256}
    expected, made = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=expected, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o644
            tar.addfile(info, io.BytesIO(content))
    writing = TarStream(made)
    for name, content in files.items():
        writing.add(name, memoryview(content))
    writing.close()
    assert made.getvalue() == expected.getvalue()
