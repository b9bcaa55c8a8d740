"""Bodies on the disk until their tar is written: they come in any order, and memory does not grow with them."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

Place = tuple[int, int]
"""Where a body begins in the spool, and its bytes."""


class Spool:
    """A file that threads append to and read from."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("x+b")
        self._end = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, content: bytes) -> Place:
        """Keep a body.

        Raises:
            OSError: If the disk is full.
        """
        with self._lock:
            place = (self._end, len(content))
            self._end += len(content)
        left, at = memoryview(content), place[0]
        while left:
            wrote = os.pwrite(self._file.fileno(), left, at)
            left, at = left[wrote:], at + wrote
        return place

    def read(self, place: Place) -> bytes:
        """Give a body back."""
        start, size = place
        return os.pread(self._file.fileno(), size, start)
