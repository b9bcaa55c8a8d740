"""Headers of plain members, taken apart by hand: tarfile takes six times as long, and almost all members are plain.

What is not known here (links, devices, long names, sparse files, sizes beyond eight gigabytes, a wrong sum) is left to
tarfile, which also says what is wrong.
"""

from __future__ import annotations

import re
import tarfile
import zlib
from typing import IO, Protocol

BLOCK = tarfile.BLOCKSIZE
_MAGICS = (b"ustar\x00", b"ustar ")
_PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE)
_ENDS = (0, 32)
ADLER = 65_521
"""What zlib's sum of bytes is taken modulo."""
SUM_ITSELF = 8 * 32
"""What a header counts in place of the bytes that say its sum: as many blanks."""
# A header of further keys that is longer holds more than times.
_MOST_FURTHER = 2 * BLOCK
# What says nothing of what a member is, where it ends or what it is called.
_FURTHER = re.compile(
    rb"\d+ (?:[amc]time|[ug]id|[ug]name|comment|SCHILY\.(?:dev|ino|nlink)|LIBARCHIVE\.creationtime)=[^\n]*\n"
)


class Blocks(Protocol):
    """A file that is read at one place after the other."""

    def seek(self, offset: int, /) -> object:
        """Go to a byte."""
        ...

    def read(self, size: int, /) -> bytes:
        """Read on."""
        ...


def plain_member(file: IO[bytes] | Blocks, offset: int) -> tarfile.TarInfo | None:
    """Read the header of a regular file, at a place where a header stands.

    A header before it that holds times and owners is passed over, as webdataset writes one for each member.

    Returns:
        Name, size, `offset` and `offset_data`; None where tarfile is to be asked, from `offset`.
    """
    file.seek(offset)
    block, place = file.read(BLOCK), offset
    if block[156:157] == tarfile.XHDTYPE:
        size = _size(block)
        if size is None or size > _MOST_FURTHER or not _holds_times(file.read(padded(size))[:size]):
            return None
        block, place = file.read(BLOCK), offset + BLOCK + padded(size)
    size = _size(block)
    if size is None or block[156:157] not in _PLAIN or block[345]:
        return None
    name = block[:100].partition(b"\x00")[0]
    if name.endswith(b"/"):  # a folder, to programs that know no type for it
        return None
    member = tarfile.TarInfo(name.decode("utf-8", "surrogateescape"))
    member.size, member.offset, member.offset_data = size, offset, place + BLOCK
    return member


def _holds_times(further: bytes) -> bool:
    """Tell whether a header of further keys has none but those above: `LENGTH KEY=VALUE`, a line each."""
    while further:
        length = further.partition(b" ")[0]
        if not length.isdigit() or not _FURTHER.fullmatch(further[: int(length)]):
            return False
        further = further[int(length) :]
    return True


def padded(size: int) -> int:
    """Fill up to whole blocks."""
    return size + -size % BLOCK


def _size(block: bytes) -> int | None:
    """Read the size of a header whose sum is right; None for any other.

    Bytes are added up by zlib, modulo 65,521: to be off by just that, 257 of them would have to change.
    """
    if len(block) != BLOCK or block[257:263] not in _MAGICS or block[135] not in _ENDS:
        return None
    digits, told = block[124:135], block[148:154]
    if not (digits.isdigit() and told.isdigit() and block[154] in _ENDS):
        return None
    total = (zlib.adler32(block) & 0xFFFF) - 1 - sum(block[148:156]) + SUM_ITSELF
    try:
        return int(digits, 8) if int(told, 8) % ADLER == total % ADLER else None
    except ValueError:
        return None
