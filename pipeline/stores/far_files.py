"""Files of sets that are on a store, read range by range: what a run is planned by, and single rows.

Every answer of the store says which state of the object it is of. One of another state than was seen is refused, so
that nothing is put together of two.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from indexes.errors import DataError, OutputError
from pipeline.files.afar.stand_ins import StandIn
from pipeline.stores.at_once import at_once
from pipeline.stores.objects import Objects
from pipeline.stores.set_states import FILES, SetFile, noted, set_root, states_of
from pipeline.stores.working_copies import connected

_LEAST = 1 << 16
"""Bytes that are asked for at a time; a footer mostly is within as many."""
_MOST = 8 << 20
_SMALL = 1 << 18
"""A file of so many bytes is asked for whole."""
_WINDOWS = 4
_TRIES = 6
_BETWEEN = 1 << 13
"""Bytes between two places that are read along with both: a further question costs more."""


@dataclass(frozen=True, slots=True)
class FarObject:
    """An object that a file of a set is.

    Attributes:
        objects: Those of its folder on the store.
        file: The file, with the state in which the object was seen.
    """

    objects: Objects
    file: SetFile

    @property
    def address(self) -> str:
        """How messages call it."""
        return f"{self.objects.address}/{self.file.object}"

    def check(self) -> None:
        """Look whether it still is what was seen.

        Raises:
            DataError: If it is not.
            OutputError: If the store refuses.
        """
        seen = self.objects.seen(self.file.object)
        if seen is None or seen.mark != self.file.mark:
            raise self.changed()

    def part(self, first: int, end: int) -> bytes:
        """Read the bytes from `first` up to `end`.

        Raises:
            DataError: If it is no longer what was seen.
            OutputError: If the store refuses.
        """
        for tried in range(_TRIES):
            try:
                content, seen = self.objects.part(self.file.object, first, end)
            except FileNotFoundError as error:
                raise self.changed() from error
            except OutputError:
                self.check()  # one that is shorter now has no such bytes
                if tried == _TRIES - 1:
                    raise
            else:
                if seen.mark != self.file.mark:
                    raise self.changed()
                if len(content) == end - first:
                    return content
            time.sleep(0.05 * 2**tried)
        raise OutputError(
            f"cannot read '{self.address}': it breaks off each time. Look at the network, and run again to resume"
        )

    def changed(self) -> DataError:
        """Say that it is another."""
        return DataError(
            f"'{self.address}' changed since the run began; stop what is writing to it and run again"
        )

    def rotten(self) -> DataError:
        """Say that it is not what a record names."""
        return DataError(
            f"'{self.address}' is not what was committed: its sha256 differs. Run nearfar verify "
            f"{self.objects.address} --repair, and then the same nearfar ingest, which fetches it again"
        )


def far_object(found: StandIn) -> FarObject:
    """Find the object that a file stands for.

    Raises:
        DataError: If nothing is known of it on this machine.
    """
    path = Path(found.path)
    root = set_root(path.parent)
    if root is not None:
        for file in states_of(root, path.relative_to(root / FILES).as_posix()):
            if file.state(root) == found.state:
                return FarObject(connected(str(noted(root)["folder"])), file)
    raise DataError(
        f"'{path}' stands for an object on a store, and its set is not known here any more; run again, which looks at "
        "the store"
    )


class FarPiece(NamedTuple):
    """Bytes of an object, and where they go.

    Attributes:
        far: The object.
        offset: Their first.
        into: Room for them, of their length.
    """

    far: FarObject
    offset: int
    into: memoryview


def read_pieces(pieces: Iterable[FarPiece]) -> None:
    """Read many places of objects, several at a time; those that lie close together are asked for at once.

    Raises:
        DataError: As `FarObject.part`.
        OutputError: If a store refuses.
    """
    runs: list[list[FarPiece]] = []
    for one in sorted(pieces, key=lambda piece: (piece.far.address, piece.offset)):
        last = runs[-1][-1] if runs else None
        if last is not None and last.far == one.far and one.offset <= last.offset + len(last.into) + _BETWEEN:
            runs[-1].append(one)
        else:
            runs.append([one])

    def read(run: list[FarPiece]) -> None:
        first, end = run[0].offset, max(one.offset + len(one.into) for one in run)
        content = memoryview(run[0].far.part(first, end) if end > first else b"")
        for one in run:
            one.into[:] = content[one.offset - first :][: len(one.into)]

    at_once(read, runs)


class FarFile(io.RawIOBase):
    """A file on a store, under the methods of one on a disk; what was read last is kept."""

    def __init__(self, far: FarObject) -> None:
        super().__init__()
        self._far = far
        self._position = 0
        self._ahead = _LEAST
        self._windows: list[tuple[int, bytes]] = []

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def seekable(self) -> bool:
        """Say that it can be read here and there."""
        return True

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place; nothing is read yet."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._far.file.size}[whence]
        if start + offset < 0:
            raise OSError("a place before the file's first byte")
        self._position = start + offset
        return self._position

    def readinto(self, into: Any) -> int:
        """Fill a buffer; less only at the end of the file.

        Raises:
            DataError: If the object is no longer what was seen.
            OutputError: If the store refuses.
        """
        view = memoryview(into).cast("B")
        wanted = max(0, min(len(view), self._far.file.size - self._position))
        if wanted:
            start, content = self._window(self._position, self._position + wanted)
            at = self._position - start
            view[:wanted] = memoryview(content)[at : at + wanted]
            self._position += wanted
        return wanted

    def readall(self) -> bytes:
        """Read what is left, in pieces as large as one answer may be.

        Raises:
            DataError: As `readinto`.
            OutputError: As `readinto`.
        """
        first, end = self._position, self._far.file.size
        self._position = max(first, end)
        pieces = range(first, end, _MOST)
        return b"".join(self._far.part(start, min(start + _MOST, end)) for start in pieces)

    def _window(self, first: int, end: int) -> tuple[int, bytes]:
        """Find bytes among those that are kept, or ask for them and some around them."""
        for start, content in self._windows:
            if start <= first and end <= start + len(content):
                return start, content
        size = self._far.file.size
        follows = any(start < first <= start + len(content) for start, content in self._windows[-1:])
        self._ahead = min(2 * self._ahead, _MOST) if follows else _LEAST
        start = 0 if size <= _SMALL else min(first, max(0, size - _LEAST))
        stop = size if size <= _SMALL else min(size, max(end, first + self._ahead))
        window = start, self._far.part(start, stop)
        self._windows = [*self._windows[-_WINDOWS + 1 :], window]
        return window
