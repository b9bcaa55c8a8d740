"""A new file that is written and hashed side by side, while its next piece is put together."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

# Large enough that neither threads nor system calls are felt.
_PIECE = 4 << 20
# Pieces on their way: what is ahead waits for what is slowest.
_AHEAD = 4


class HashedWriter:
    """Takes bytes in order; use as a context manager. Writing and hashing let other threads of Python run.

    Raises:
        OSError: From `write` or the end of the block, some pieces after the one that could not be written.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb", buffering=0)
        self._sha256 = hashlib.sha256()
        self._hands = (ThreadPoolExecutor(1), ThreadPoolExecutor(1))
        self._pending: deque[Future[None]] = deque()
        self._held: list[bytes | memoryview] = []
        self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._send()
                self._wait_for(0)
        finally:
            for hand in self._hands:
                hand.shutdown(cancel_futures=True)
            self._file.close()

    def write(self, content: bytes | memoryview) -> None:
        """Take the next bytes, which must not change any more."""
        self._held.append(content)
        self._size += len(content)
        if self._size >= _PIECE:
            self._send()

    def digest(self) -> str:
        """Give the SHA-256 of the whole file, in lowercase hex, once the block has ended."""
        return self._sha256.hexdigest()

    def _send(self) -> None:
        piece = b"".join(self._held)
        self._held, self._size = [], 0
        for hand, work in zip(self._hands, (self._write_all, self._sha256.update), strict=True):
            self._pending.append(hand.submit(work, piece))
        self._wait_for(2 * _AHEAD)

    def _wait_for(self, left: int) -> None:
        while len(self._pending) > left:
            self._pending.popleft().result()

    def _write_all(self, piece: bytes) -> None:
        rest = memoryview(piece)
        while rest:
            rest = rest[os.write(self._file.fileno(), rest) :]
