"""Samples of a webdataset tar, found by their headers and read in place: nothing is ever unpacked to disk.

Python's tarfile, like webdataset, takes a file that was cut at a header for one that ends there. So the end
is checked here: a whole tar ends with two blocks of zeros, and nothing but zeros follows.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from indexes.errors import DataError
from pipeline.readers._contract import MAX_IMAGE_BYTES, too_large
from pipeline.sets.columns import plain_text

MAX_TEXT_BYTES = 16 << 20
_KEY = re.compile(r"[A-Za-z0-9_-]{1,128}")
# webdataset's split: the key is everything before the first dot of the file's name, folders included.
_MEMBER = re.compile(r"(?:\./)?((?:.*/)?[^./][^.]*)\.([^/]*)", re.DOTALL)
_IMAGE_ORDER = ("jpg", "png", "jpeg", "webp", "gif")
_END_BYTES = 2 * tarfile.BLOCKSIZE
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Span:
    """Where a member's bytes lie."""

    offset: int
    size: int


@dataclass(slots=True)
class Sample:
    """Neighbouring members of one key.

    Attributes:
        key: What the members' names share.
        members: Bytes of each regular file, by what follows the key, in lower case: jpg, json, txt, …
        fault: Why the sample cannot be read; None if it can.
    """

    key: str
    members: dict[str, Span] = field(default_factory=dict)
    suffixes: set[str] = field(default_factory=set)
    fault: str | None = None

    @property
    def image(self) -> Span | None:
        """Bytes of the image; of several, the kind that open_clip would take."""
        return next((self.members[kind] for kind in _IMAGE_ORDER if kind in self.members), None)


def scan(path: str) -> list[Sample]:
    """List the samples of a tar in order.

    A new sample begins where the key changes, or where a suffix repeats: LAION-400M has such collisions.

    Raises:
        DataError: If the tar is damaged or truncated, or a key comes again after another one.
    """
    samples: list[Sample] = []
    for member in _members(path):
        name = _MEMBER.fullmatch(member.name)
        if name is None or member.isdir():
            continue
        key, suffix = name.group(1), name.group(2).lower()
        if not samples or samples[-1].key != key or suffix in samples[-1].suffixes:
            samples.append(Sample(key))
        _add(samples[-1], suffix, member)
    _refuse_scattered(samples, path)
    for sample in samples:
        sample.fault = _key_fault(sample.key) or sample.fault or _image_fault(sample)
        sample.key = plain_text(sample.key)
    return samples


@contextmanager
def opened(path: str) -> Iterator[IO[bytes]]:
    """Open a tar for `read`."""
    try:
        with Path(path).open("rb") as file:
            yield file
    except OSError as error:
        raise DataError(f"cannot read the tar '{path}': {error.strerror}") from error


def read(file: IO[bytes], span: Span, path: str) -> bytes:
    """Read one member's bytes."""
    file.seek(span.offset)
    content = file.read(span.size)
    if len(content) != span.size:
        raise DataError(
            f"the tar '{path}' has become shorter while it was read. Run again once nothing writes to it"
        )
    return content


def _members(path: str) -> Iterator[tarfile.TarInfo]:
    with opened(path) as file:
        try:
            with tarfile.open(fileobj=file, mode="r:", encoding="utf-8", errors="surrogateescape") as tar:
                last = -1
                while (member := tar.next()) is not None:
                    if member.offset <= last or member.size < 0:  # it would lead round in a circle
                        raise tarfile.TarError(f"member at byte {member.offset:,} has a negative size")
                    last = member.offset
                    yield member
                    # tarfile keeps every header it has seen, which nothing here goes back to.
                    tar.members.clear()  # type: ignore[attr-defined]
                _check_end(file, tar.offset, path)
        except (tarfile.TarError, ValueError, OverflowError, EOFError) as error:
            raise DataError(
                f"the tar '{path}' is truncated or damaged ({error}). Fetch or write the shard again"
            ) from error


def _check_end(file: IO[bytes], offset: int, path: str) -> None:
    file.seek(offset)
    end = file.read(_END_BYTES)
    if not end.strip(b"\0") and len(end) == _END_BYTES:
        while piece := file.read(_PIECE):
            if piece.strip(b"\0"):
                raise DataError(
                    f"the tar '{path}' goes on after its end marker (byte {offset:,}), as if tars had been "
                    "joined; readers stop at the marker and would lose the rest. Split it, or write it again"
                )
        return
    fault = "is truncated" if len(end) < _END_BYTES else "has a damaged header"
    raise DataError(
        f"the tar '{path}' {fault} at byte {offset:,}: a whole tar ends with two blocks of zeros. "
        "Fetch or write the shard again"
    )


def _add(sample: Sample, suffix: str, member: tarfile.TarInfo) -> None:
    sample.suffixes.add(suffix)
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.sparse is not None:
        sample.fault = sample.fault or f"its .{plain_text(suffix)} is {_type(member)}, not a regular file"
    else:
        sample.members[suffix] = Span(member.offset_data, member.size)


def _type(member: tarfile.TarInfo) -> str:
    if member.issym() or member.islnk():
        return "a link"
    return "a device" if member.isdev() else "of a special type"


def _key_fault(key: str) -> str | None:
    return None if _KEY.fullmatch(key) else "key is not 1 to 128 of A-Z a-z 0-9 _ -"


def _image_fault(sample: Sample) -> str | None:
    if sample.image is None:
        kinds = ", ".join(sorted(plain_text(suffix) for suffix in sample.suffixes))
        return f"no image (jpg, jpeg, png, webp, gif) among its members: {kinds}"
    return too_large(sample.image.size) if sample.image.size > MAX_IMAGE_BYTES else None


def _refuse_scattered(samples: list[Sample], path: str) -> None:
    """Refuse a key that comes again after others: which parts belong together cannot be told."""
    seen: set[str] = set()
    last = None
    scattered = []
    for sample in samples:
        if sample.key != last and sample.key in seen:
            scattered.append(sample.key)
        seen.add(sample.key)
        last = sample.key
    if scattered:
        first = ", ".join(ascii(key) for key in scattered[:5])
        raise DataError(
            f"the tar '{path}' has {len(scattered):,} keys in more than one place ({first}), so which image "
            "has which caption cannot be told. Write the shard again with each sample's files side by side"
        )
