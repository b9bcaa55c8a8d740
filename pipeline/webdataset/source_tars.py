"""Members of many tars, read here and there: a sample at a time, with few files open."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from indexes.errors import DataError

MOST_OPEN = 128
# Members of a sample lie side by side, with a header between: they are read at once, unless they are this far apart.
_AT_ONCE = 64 << 20


class SourceTars:
    """Holds tars open; use as a context manager."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, int] = OrderedDict()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for descriptor in self._open.values():
            os.close(descriptor)

    def read(self, path: str, spans: Sequence[tuple[int, int]]) -> list[bytes | memoryview]:
        """Read the members of one sample.

        Args:
            path: The tar.
            spans: Offset and size of each.

        Raises:
            DataError: If the tar cannot be read, or has become shorter.
        """
        descriptor = self._descriptor(path)
        start = min(offset for offset, _ in spans)
        length = max(offset + size for offset, size in spans) - start
        if length > _AT_ONCE:
            return [_exactly(descriptor, offset, size, path) for offset, size in spans]
        held = memoryview(_exactly(descriptor, start, length, path))
        return [held[offset - start : offset - start + size] for offset, size in spans]

    def expect(self, path: str, spans: Sequence[tuple[int, int]]) -> None:
        """Have the disk fetch what will be read soon; asked for many places at once, it is many times faster."""
        descriptor = self._descriptor(path)
        start = min(offset for offset, _ in spans)
        length = max(offset + size for offset, size in spans) - start
        if length <= _AT_ONCE and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(descriptor, start, length, os.POSIX_FADV_WILLNEED)

    def _descriptor(self, path: str) -> int:
        if path in self._open:
            self._open.move_to_end(path)
            return self._open[path]
        if len(self._open) >= MOST_OPEN:
            os.close(self._open.popitem(last=False)[1])
        try:
            self._open[path] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise DataError(
                f"cannot read the tar '{path}': {error.strerror}. Put it back, then export again"
            ) from error
        return self._open[path]


def _exactly(descriptor: int, offset: int, size: int, path: str) -> bytes:
    pieces: list[bytes] = []
    while size > 0:
        try:
            piece = os.pread(descriptor, size, offset)
        except OSError as error:
            raise DataError(f"cannot read the tar '{path}': {error.strerror}. Make it readable") from error
        if not piece:
            raise DataError(
                f"the tar '{path}' became shorter while it was exported; run the plan again, then export"
            )
        pieces.append(piece)
        offset += len(piece)
        size -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
