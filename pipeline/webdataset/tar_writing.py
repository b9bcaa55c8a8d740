"""A tar of plain files whose bytes depend on names and content alone: mode 0644, owner 0, time 0."""

from __future__ import annotations

import tarfile
from typing import Protocol

_NAME = slice(0, 100)
_SIZE = slice(124, 136)
_SUM = slice(148, 155)
# What 11 octal digits can say; a larger member has a header of another form.
_LARGEST = 8**11 - 1


def _described(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info


_PLAIN = _described("", 0).tobuf(tarfile.USTAR_FORMAT)
_PLAIN_SUM = 256 + sum(_PLAIN[: _SUM.start]) + sum(_PLAIN[_SUM.start + 8 :]) - sum(_PLAIN[_SIZE])


def header(name: str, size: int) -> bytes:
    """Write a member's header, as Python's tarfile writes it.

    Args:
        name: At most 100 bytes where the header is to be plain; a longer one takes GNU's form.
        size: Bytes of the member.
    """
    spelled = name.encode("utf-8", "surrogateescape")
    if len(spelled) > _NAME.stop or size > _LARGEST:
        return _described(name, size).tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
    block = bytearray(_PLAIN)
    digits = b"%011o\0" % size
    block[: len(spelled)] = spelled
    block[_SIZE] = digits
    block[_SUM] = b"%06o\0" % (_PLAIN_SUM + sum(spelled) + sum(digits))
    return bytes(block)


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
        padding = -len(content) % tarfile.BLOCKSIZE
        self._stream.write(head)
        self._stream.write(content)
        self._stream.write(bytes(padding))
        self._written += len(head) + len(content) + padding

    def close(self) -> None:
        """Write the end of the tar: two blocks of zeros, and more up to a whole record."""
        end = 2 * tarfile.BLOCKSIZE
        self._stream.write(bytes(end + -(self._written + end) % tarfile.RECORDSIZE))
