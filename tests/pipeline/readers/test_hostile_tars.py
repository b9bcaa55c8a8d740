"""Tars that were made to take memory, to lead round in a circle, or to be read otherwise than they are."""

from __future__ import annotations

import io
import tarfile
from collections import Counter
from pathlib import Path

import pytest
from reader_sets import write_stats, write_tar

from indexes.errors import DataError
from pipeline.readers import img2dataset
from pipeline.readers._tars import tar_members, tar_samples
from pipeline.readers._tars.plain_headers import plain_member
from pipeline.readers._tars.tar_members import members, opened
from pipeline.readers._tars.tar_samples import Wanted, scan
from pipeline.sets.source import Source


def header(name: str = "0.jpg", **more: object) -> bytearray:
    """One header of a regular file, to be spoilt; `signed` makes its sum right again."""
    member = tarfile.TarInfo(name)
    for key, value in more.items():
        setattr(member, key, value)
    return bytearray(member.tobuf(tarfile.USTAR_FORMAT))


def signed(block: bytearray) -> bytes:
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def look(content: bytes, path: Path) -> list[str]:
    path.write_bytes(content)
    with opened(str(path)) as file:
        return [member.name for member in members(file, str(path))]


def test_a_sparse_member_of_negative_size_leads_round_in_no_circle(tmp_path: Path) -> None:
    """Its own size leads back to its header, and the size that it has unpacked is that of a file."""
    block = header(type=tarfile.GNUTYPE_SPARSE)
    block[124:136] = b"\xff" * 10 + b"\xfe\x00"  # minus one block
    block[257:265] = b"ustar  \0"
    block[345:] = bytes(167)
    block[483:495] = b"00000001000\0"
    with pytest.raises(DataError, match="damaged"):
        look(signed(block) + bytes(2048), tmp_path / "a.tar")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_that_would_take_all_memory_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: bytes
) -> None:
    monkeypatch.setattr(tar_members, "_LONGEST_HEADER", 4096)
    content = signed(header(type=kind, size=1 << 20)) + b"x" * (1 << 20) + signed(header()) + bytes(1024)
    with pytest.raises(DataError, match="a header says that it has 1,048,576 bytes"):
        look(content, tmp_path / "a.tar")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_headers_about_headers_have_an_end(tmp_path: Path, kind: bytes) -> None:
    """Each is about the one after it, and Python's tarfile goes into every one from the one before."""
    about = signed(header(type=kind, size=512)) + b"12 comment=\n".ljust(512, b"\0")
    assert look(about * 3 + signed(header()) + bytes(1024), tmp_path / "a.tar")
    with pytest.raises(DataError, match="headers about headers"):
        look(about * 5000 + signed(header()) + bytes(1024), tmp_path / "a.tar")


def test_what_is_wanted_is_read_up_to_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_samples, "MAX_IMAGE_BYTES", 20)
    monkeypatch.setattr(tar_samples, "MAX_TEXT_BYTES", 10)
    write_tar(
        tmp_path / "a.tar", [("0.jpg", b"x" * 21), ("0.txt", b"y" * 11), ("1.jpg", b"z"), ("1.txt", b"w")]
    )
    large, small = scan(str(tmp_path / "a.tar"), Wanted(images=True, texts=True))
    assert (large.content, large.texts, large.fault is None) == (None, {}, False)
    assert (small.content, small.texts, small.fault) == (b"z", {"txt": b"w"}, None)


def test_keys_of_other_encodings_are_texts(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", [("caf\udce9.jpg", b"x")])
    (sample,) = scan(str(tmp_path / "a.tar"))
    assert sample.key.encode()


@pytest.mark.parametrize("following", ["1.jpg", "n" * 150 + ".jpg"])
def test_a_tar_that_became_shorter_is_said_to_have(tmp_path: Path, following: str) -> None:
    """Where a header is looked for in vain, and in the middle of one that tarfile reads."""
    path = tmp_path / "a.tar"
    write_tar(path, [("0.jpg", b"x" * 10_000), (following, b"x" * 10_000)])
    kept = 512 + 10_240 + 512 * (following != "1.jpg")
    with opened(str(path)) as file:
        found = members(file, str(path))
        next(found)
        path.write_bytes(path.read_bytes()[:kept])
        with pytest.raises(DataError, match="has become shorter while it was read"):
            list(found)


@pytest.mark.parametrize("what", ["magic", "prefix", "folder", "long keys"])
def test_what_is_not_plain_is_left_to_tarfile(what: str) -> None:
    block = header("folder.jpg/" if what == "folder" else "0.jpg")
    if what == "magic":
        block[257:263] = b"tar\0  "
    elif what == "prefix":
        block[345:349] = b"deep"
    elif what == "folder":
        block[156:157] = tarfile.AREGTYPE
    content = signed(block)
    if what == "long keys":
        line = b"1050 comment=" + b"x" * 1036 + b"\n"
        content = signed(header(type=tarfile.XHDTYPE, size=1050)) + line + bytes(486) + content
    assert len(content) % 512 == 0
    assert plain_member(io.BytesIO(signed(header())), 0) is not None
    assert plain_member(io.BytesIO(content), 0) is None


def test_counts_are_read_up_to_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tar(tmp_path / "00000.tar", [("0.jpg", b"x")])
    write_stats(tmp_path / "00000_stats.json", 1, 1)
    assert img2dataset.shards(Source(path=str(tmp_path)))[0].rows == 1
    monkeypatch.setattr(img2dataset, "_STATS_BYTES", 5)
    with pytest.raises(DataError, match="is not img2dataset's counts"):
        img2dataset.shards(Source(path=str(tmp_path)))


def test_of_samples_with_one_key_the_first_that_can_be_read_is_looked_at(tmp_path: Path) -> None:
    link = tarfile.TarInfo("0.png")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    write_tar(tmp_path / "00000.tar", [("0.jpg", b"first"), (link, b""), ("0.jpg", b"second")])
    source = Source(path=str(tmp_path))
    (shard,) = img2dataset.shards(source)
    faults = Counter(sample.fault is None for sample in scan(shard.files[0]))
    assert faults == {True: 1, False: 1}
    assert img2dataset.image(source, shard, ["0"]) == {"0": b"second"}
