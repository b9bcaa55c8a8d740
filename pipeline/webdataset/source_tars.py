"""Members of many tars, read here and there into their places, with few files open.

Of a tar that is on a store, and was not brought or was given up, the store is asked for the members alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from types import TracebackType
from typing import NamedTuple, Self

from indexes.errors import DataError
from pipeline.files.afar.stand_ins import stand_in
from pipeline.stores.far_files import FarObject, FarPiece, far_object, read_pieces

MOST_OPEN = 256
_NOW = getattr(os, "RWF_NOWAIT", None)
# Of a larger one the disk is asked for the beginning, and reads on by itself.
_ASKED = 64 << 20


class ReadInto(NamedTuple):
    """Bytes of a tar, and where they go.

    Attributes:
        path: The tar.
        offset: Their first.
        into: Room for them, of their length.
    """

    path: str
    offset: int
    into: memoryview


class SourceTars:
    """Holds tars open; use as a context manager."""

    def __init__(self) -> None:
        self._open: dict[str, int] = {}
        self._far: dict[str, FarObject] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for descriptor in self._open.values():
            os.close(descriptor)

    def read(self, reads: Iterable[ReadInto]) -> None:
        """Read many places.

        What the system does not have at hand is asked for together, and waited for at the end: the disk then fetches
        many places at once, which is many times faster.

        Raises:
            DataError: If a tar cannot be read, or has become shorter.
        """
        late, far = list[ReadInto](), list[FarPiece]()
        held, preadv = self._open, os.preadv
        for one in reads:
            path, offset, into = one
            descriptor = held.get(path)
            if descriptor is None:
                descriptor = self._descriptor(path)
                if descriptor is None:
                    far.append(FarPiece(self._far[path], offset, into))
                    continue
            try:
                if _NOW is not None and preadv(descriptor, [into], offset, _NOW) == len(into):
                    continue
            except (
                OSError
            ):  # nothing is at hand, the file system cannot tell, or the disk fails, which comes out below
                pass
            _ask_for(descriptor, one)
            late.append(one)
        for one in late:
            descriptor = self._descriptor(one.path)
            if descriptor is None:
                far.append(FarPiece(self._far[one.path], one.offset, one.into))
            else:
                _wait_for(descriptor, one)
        read_pieces(far)

    def _descriptor(self, path: str) -> int | None:
        """Open a tar, as far as it is on this machine."""
        if path in self._far:
            return None
        if path in self._open:
            return self._open[path]
        if len(self._open) >= MOST_OPEN:
            os.close(self._open.pop(next(iter(self._open))))
        try:
            self._open[path] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            found = stand_in(path) if isinstance(error, FileNotFoundError) else None
            if found is not None:
                self._far[path] = far_object(found)
                return None
            raise DataError(
                f"cannot read the tar '{path}': {error.strerror}. Put it back, then export again"
            ) from error
        return self._open[path]


def _ask_for(descriptor: int, one: ReadInto) -> None:
    """Have the disk fetch it meanwhile."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, one.offset, min(len(one.into), _ASKED), os.POSIX_FADV_WILLNEED)


def _wait_for(descriptor: int, one: ReadInto) -> None:
    done = 0
    while done < len(one.into):
        try:
            read = os.preadv(descriptor, [one.into[done:]], one.offset + done)
        except OSError as error:
            raise DataError(
                f"cannot read the tar '{one.path}': {error.strerror}. Make it readable"
            ) from error
        if not read:
            raise DataError(
                f"the tar '{one.path}' became shorter while it was exported; run the plan again, then export"
            )
        done += read
