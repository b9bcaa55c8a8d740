"""A file that is read from front to back once, and hashed from those very bytes, under tarfile's seek and tell."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from typing import IO

# One read from the disk; large enough for its full speed.
_PIECE = 1 << 20
# How far back a caller may go: tarfile looks at the block of an end once, and we look again.
_BEHIND = 4 * tarfile.BLOCKSIZE


class HashedFile(io.RawIOBase):
    """Bytes of a file in order; what a caller skips is read and hashed all the same.

    It goes back by a few blocks at the most; only a damaged file asks for more.
    """

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file
        self._digest = hashlib.sha256()
        self._held = b""
        self._start = 0
        self._position = 0

    def digest(self) -> str:
        """Hash what has been read, which is the whole file once `read` has given nothing; lowercase hex."""
        return self._digest.hexdigest()

    def fileno(self) -> int:
        """Descriptor of the file below."""
        return self._file.fileno()

    def seekable(self) -> bool:
        """Tell tarfile that it may seek."""
        return True

    def readable(self) -> bool:
        """Tell tarfile that it may read."""
        return True

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to an offset from the beginning; nothing is read yet.

        Raises:
            tarfile.ReadError: If it lies further back than what is held.
        """
        if whence != os.SEEK_SET or offset < self._start:
            raise tarfile.ReadError(f"a header leads back from byte {self._position:,} to {offset:,}")
        self._position = offset
        return offset

    def read(self, size: int = -1) -> bytes:
        """Read at most `size` bytes; fewer only at the end of the file.

        Raises:
            tarfile.ReadError: If `size` is negative: nothing here is to be read at once.
        """
        if size < 0:
            raise tarfile.ReadError("a header asks for a negative number of bytes")
        pieces: list[bytes] = []
        while size > 0 and self._reached():
            first = self._position - self._start
            piece = self._held[first : first + size]
            pieces.append(piece)
            size -= len(piece)
            self._position += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _reached(self) -> bool:
        """Read on until the next byte is held; False at the end of the file."""
        while self._position >= self._start + len(self._held):
            piece = self._file.read(_PIECE)
            if not piece:
                return False
            self._digest.update(piece)
            behind = self._held[-_BEHIND:]
            self._start += len(self._held) - len(behind)
            self._held = behind + piece
        return True
