"""A new file that is written and hashed side by side, while its next piece is put together.

Pieces are filled in place, in buffers that are used again: what is hashed is what is written, to the byte. Where the
file system allows it, pieces go to the disk directly: a tar that is to be flushed anyway need not be copied into the
page cache first, which would push out the tars that are read.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import mmap
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

PIECE = 4 << 20
"""Bytes of a piece: large enough that neither threads nor system calls are felt."""
# Pieces on their way: what is ahead waits for what is slowest.
_AHEAD = 3
# What direct writing wants lengths and places to be multiples of.
_BLOCK = 4096
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_DIRECT = getattr(os, "O_DIRECT", 0)


class HashedWriter:
    """Gives room for bytes in order; use as a context manager. Writing and hashing let other threads of Python run.

    Raises:
        OSError: From `room` or the end of the block, some pieces after the one that could not be written.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, _NEW_FILE, 0o666)
        with contextlib.suppress(OSError):  # a file system that cannot goes through its cache
            fcntl.fcntl(self._file, fcntl.F_SETFL, fcntl.fcntl(self._file, fcntl.F_GETFL) | _DIRECT)
        self._sha256 = hashlib.sha256()
        self._hands = (ThreadPoolExecutor(1), ThreadPoolExecutor(1))
        self._pending: deque[tuple[memoryview, tuple[Future[None], ...]]] = deque()
        self._free: list[memoryview] = []
        self._held = _buffer(PIECE)
        self._used = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._send(self._used)
                self._wait_for(0)
        finally:
            for hand in self._hands:
                hand.shutdown(cancel_futures=True)
            os.close(self._file)

    def room(self, size: int) -> memoryview:
        """Give the next bytes of the file, to be filled before this is called again or the block ends."""
        if self._used + size > len(self._held):
            self._turn_over(size)
        self._used += size
        return self._held[self._used - size : self._used]

    def write(self, content: bytes | memoryview) -> None:
        """Take the next bytes."""
        self.room(len(content))[:] = content

    def digest(self) -> str:
        """Give the SHA-256 of the whole file, in lowercase hex, once the block has ended."""
        return self._sha256.hexdigest()

    def _turn_over(self, size: int) -> None:
        """Send what is held, but for what does not fill a block, and go on in a buffer with room for `size`."""
        whole = self._used - self._used % _BLOCK
        rest = self._held[whole : self._used]
        former = self._held
        if whole:
            self._send(whole)
        if len(rest) + size > PIECE + _BLOCK:
            self._held = _buffer(len(rest) + size)
        else:
            self._held = self._free.pop() if self._free else _buffer(PIECE)
        self._held[: len(rest)] = rest
        self._used = len(rest)
        if not whole:
            self._give_back(former)

    def _send(self, size: int) -> None:
        piece = self._held[:size]
        works = (self._write_all, self._sha256.update)
        futures = tuple(hand.submit(work, piece) for hand, work in zip(self._hands, works, strict=True))
        self._pending.append((self._held, futures))
        self._wait_for(_AHEAD)

    def _wait_for(self, left: int) -> None:
        while len(self._pending) > left:
            buffer, futures = self._pending.popleft()
            for future in futures:
                future.result()
            self._give_back(buffer)

    def _give_back(self, buffer: memoryview) -> None:
        if len(buffer) == PIECE + _BLOCK:
            self._free.append(buffer)

    def _write_all(self, piece: memoryview) -> None:
        while piece:
            # Only the last piece does not end with a block.
            whole = len(piece) - len(piece) % _BLOCK
            if not whole:
                self._go_through_the_cache()
            try:
                piece = piece[os.write(self._file, piece[: whole or None]) :]
            except OSError as error:
                if error.errno != errno.EINVAL or not self._go_through_the_cache():
                    raise

    def _go_through_the_cache(self) -> bool:
        """Write no longer directly; says whether that was done before."""
        flags = fcntl.fcntl(self._file, fcntl.F_GETFL)
        fcntl.fcntl(self._file, fcntl.F_SETFL, flags & ~_DIRECT)
        return bool(flags & _DIRECT)


def _buffer(size: int) -> memoryview:
    """Make room that begins with a page, and has some for what the piece before left."""
    return memoryview(mmap.mmap(-1, size + _BLOCK))
