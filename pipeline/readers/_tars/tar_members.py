"""Members of a tar, by its headers from front to back, and the one end that a whole tar has.

Python's tarfile, like webdataset, takes a file that was cut at a header for one that ends there. So the end
is checked here: a whole tar ends with two blocks of zeros, and nothing but zeros follows.
"""

from __future__ import annotations

import os
import shlex
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from typing import IO, Any, TypeAlias

from indexes.errors import DataError
from pipeline.files.afar.far_reading import open_near_or_far
from pipeline.readers._tars.plain_headers import padded, plain_member
from pipeline.readers._tars.tar_stream import HashedFile

Opened: TypeAlias = IO[bytes] | HashedFile
_END_BYTES = 2 * tarfile.BLOCKSIZE
_PIECE = 1 << 20
# Headers lie far apart: what is read beside them is read for nothing.
_BUFFER = 4096
_HEAD_BYTES = 6
_LONGEST_HEADER = 16 << 20
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
"""What compressed files begin with, and the program that unpacks them."""


@dataclass(frozen=True, slots=True)
class Span:
    """Where a member's bytes lie."""

    offset: int
    size: int


class _Headers:
    """As much of a file as tarfile reads headers from, which would take a name of any length into memory."""

    def __init__(self, file: Opened) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        if size > _LONGEST_HEADER:
            raise tarfile.ReadError(f"a header says that it has {size:,} bytes")
        return self._file.read(size)


@contextmanager
def opened(path: str) -> Iterator[IO[bytes]]:
    """Open a tar to read it once or here and there."""
    try:
        with open_near_or_far(path) as raw, BufferedReader(raw, _BUFFER) as file:
            yield file
    except OSError as error:
        raise DataError(f"cannot read the tar '{path}': {error.strerror}") from error


def members(file: Opened, path: str) -> Iterator[tarfile.TarInfo]:
    """Go through the members in order; a member's bytes may be read while it is the last one that came.

    Raises:
        DataError: If the tar is damaged or truncated, or goes on after its end.
    """
    size = _size(file)
    offset = 0
    try:
        while True:
            member = plain_member(file, offset)
            if member is not None:
                offset = member.offset_data + padded(member.size)
                if offset > size:
                    raise tarfile.ReadError("unexpected end of data")
                yield member
                continue
            following = offset
            for other, following in _others(file, offset, size):  # noqa: B007
                yield other
            if following == offset:
                break
            offset = following
        _check_end(file, offset, path, size)
    except (tarfile.TarError, ValueError, OverflowError, EOFError, RecursionError) as error:
        # tarfile calls itself for a header that is about the one after it.
        endless = isinstance(error, RecursionError)
        why = "headers about headers, without an end" if endless else error
        if _size(file) < size:
            raise _shorter(path) from error
        raise (
            _compressed(path)
            or DataError(f"the tar '{path}' is truncated or damaged ({why}). Fetch or write the shard again")
        ) from error


def _others(file: Opened, offset: int, size: int) -> Iterator[tuple[tarfile.TarInfo, int]]:
    """Read one member by tarfile, or all that are left where a header says something of all; none at the end.

    Yields:
        The member, and where the next header stands.
    """
    file.seek(offset)
    headers: Any = _Headers(file)
    with tarfile.open(fileobj=headers, mode="r:", encoding="utf-8", errors="surrogateescape") as tar:
        last = offset - 1
        while (member := tar.next()) is not None:
            if member.offset <= last or member.size < 0:  # it would lead round in a circle
                raise tarfile.TarError(f"member at byte {member.offset:,} has a negative size")
            if tar.offset > size:
                raise tarfile.ReadError("unexpected end of data")
            last = member.offset
            yield member, tar.offset
            if not tar.pax_headers:
                return
            # tarfile keeps every header it has seen, which nothing here goes back to.
            tar.members.clear()  # type: ignore[attr-defined]


def _compressed(path: str) -> DataError | None:
    """Say how to unpack a compressed file that is called a tar; to fetch it again would bring the same."""
    with opened(path) as file:
        head = file.read(_HEAD_BYTES)
    program = next((name for mark, name in _COMPRESSED.items() if head.startswith(mark)), None)
    if program is None:
        return None
    name, unpacked = shlex.quote(path), shlex.quote(f"{path}.unpacked")
    return DataError(
        f"'{path}' is compressed by {program}, and a tar is read here and there, which that does not allow. Unpack it: "
        f"`{program} -dc {name} > {unpacked} && mv {unpacked} {name}`"
    )


def content_of(file: Opened, span: Span, path: str) -> bytes:
    """Read one member's bytes.

    Raises:
        DataError: If they are no longer there.
    """
    file.seek(span.offset)
    content = file.read(span.size)
    if len(content) != span.size:
        raise _shorter(path)
    return content


def _shorter(path: str) -> DataError:
    return DataError(
        f"the tar '{path}' has become shorter while it was read. Run again once nothing writes to it"
    )


def _size(file: Opened) -> int:
    return os.fstat(file.fileno()).st_size


def _check_end(file: Opened, offset: int, path: str, size: int) -> None:
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
    if _size(file) < size:
        raise _shorter(path)
    fault = "is truncated" if len(end) < _END_BYTES else "has a damaged header"
    raise DataError(
        f"the tar '{path}' {fault} at byte {offset:,}: a whole tar ends with two blocks of zeros. "
        "Fetch or write the shard again"
    )
