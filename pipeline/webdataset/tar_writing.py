"""A tar of plain files whose bytes depend on names and content alone: mode 0644, owner 0, time 0."""

from __future__ import annotations

import tarfile
from typing import Protocol

BLOCK = tarfile.BLOCKSIZE
_NAME = slice(0, 100)
SIZE = slice(124, 136)
SUM = slice(148, 155)
"""Where a header says the size, and the sum of its bytes: octal digits, and a zero behind them."""
LARGEST = 8**11 - 1
"""Bytes of the largest member that a plain header can say: it has 11 octal digits."""


def _described(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info


_PLAIN = _described("", 0).tobuf(tarfile.USTAR_FORMAT)
_PLAIN_SUM = 256 + sum(_PLAIN[: SUM.start]) + sum(_PLAIN[SUM.start + 8 :]) - sum(_PLAIN[SIZE])


def header(name: str, size: int) -> bytes:
    """Write a member's header, as Python's tarfile writes it.

    Args:
        name: At most 100 bytes where the header is to be plain; a longer one takes GNU's form.
        size: Bytes of the member.
    """
    spelled = name.encode("utf-8", "surrogateescape")
    if len(spelled) > _NAME.stop or size > LARGEST:
        return _described(name, size).tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
    block = bytearray(_PLAIN)
    digits = b"%011o\0" % size
    block[: len(spelled)] = spelled
    block[SIZE] = digits
    block[SUM] = b"%06o\0" % (_PLAIN_SUM + sum(spelled) + sum(digits))
    return bytes(block)


def ending(written: int) -> bytes:
    """Give what a tar of so many bytes ends with: two blocks of zeros, and more up to a whole record."""
    end = 2 * BLOCK
    return bytes(end + -(written + end) % tarfile.RECORDSIZE)


class ByteSink(Protocol):
    """What takes bytes in order."""

    def write(self, content: bytes | memoryview, /) -> object:
        """Take the next bytes."""
        ...


class TarStream:
    """Writes members to a stream, one after the other."""

    def __init__(self, stream: ByteSink) -> None:
        self._stream = stream
        self._written = 0

    def add(self, name: str, content: bytes | memoryview) -> None:
        """Write the next member."""
        head = header(name, len(content))
        padding = -len(content) % BLOCK
        self._stream.write(head)
        self._stream.write(content)
        self._stream.write(bytes(padding))
        self._written += len(head) + len(content) + padding

    def close(self) -> None:
        """Write the end of the tar."""
        self._stream.write(ending(self._written))
