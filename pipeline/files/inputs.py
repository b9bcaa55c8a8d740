"""Files of the user's, and what is known of what is in them.

A file is known by size and times while these stand still, and by its content whenever its bytes are read anyway: the
unit that reads a file takes its digest. The driver reads none of them. A file's content is its sha256; that of an array
of vectors is the sha256 of its shape, type and numbers, so that a pass over the vectors can take it.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexes.errors import DataError
from pipeline import layout
from pipeline.files.afar.stand_ins import stand_in
from pipeline.files.digests import sha256_of
from pipeline.files.storage import write_atomic
from pipeline.files.vector_file import VectorFile
from pipeline.files.vectors import blocks, inspect

Stamp = tuple[int, int, int]
_BLOCK_ROWS = 65_536
_SAVE_SECONDS = 20.0
"""What a crash can cost: files read since the last save are read again to know what is in them."""


@dataclass(frozen=True, slots=True)
class Input:
    """A file that a unit reads.

    Attributes:
        path: Absolute path.
        name: The file as it is called inside its set, so that a set that moved is still the same set.
        array: For vectors, the npz member or an empty text; None for a file that is read whole.
        bytes: How much there is to read, as far as that is known; it decides nothing.
    """

    path: str
    name: str
    array: str | None = None
    bytes: int = 0

    @property
    def key(self) -> str:
        """How the ledger calls it."""
        return self.path if self.array is None else f"{self.path}::{self.array}"


@dataclass(frozen=True, slots=True)
class Read:
    """An input that was read: its key, what the file system said of it before, and its content."""

    key: str
    stamp: Stamp
    content: str

    def entry(self) -> list[Any]:
        """Write it as it crosses processes."""
        return [self.key, *self.stamp, self.content]


def stamp_of(path: str | Path) -> Stamp:
    """Look at a file without reading it: size, time of content, time of inode; of one on a store, size and state.

    Raises:
        DataError: If it is not there.
    """
    far = stand_in(path)
    if far is not None and not far.is_altered():
        return far.stamp
    try:
        found = Path(path).stat()
    except OSError as error:
        raise DataError(
            f"cannot read '{path}': {error.strerror}; the plan or a manifest names it as an input. "
            "Put it back, or correct the path"
        ) from error
    # ctime cannot be set back by a tool that restores mtime, so both have to stand still.
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def content_of(one: Input) -> str:
    """Read an input for its content alone.

    Raises:
        DataError: If it cannot be read.
    """
    if one.array is None:
        try:
            return sha256_of(Path(one.path))
        except OSError as error:
            raise DataError(f"cannot read '{one.path}': {error.strerror}. Make it readable") from error
    file = inspect(one.path, one.array or None)
    digest = ArrayDigest(file)
    for block in blocks(file, _BLOCK_ROWS):
        digest.add(block)
    return digest.hexdigest()


class ArrayDigest:
    """The content of an array of vectors, taken block by block as it streams by."""

    def __init__(self, file: VectorFile) -> None:
        self._hash = hashlib.sha256(f"{file.rows} {file.width} {file.dtype[1:]}\n".encode())

    def add(self, block: Any) -> None:
        """Take the next `(m, d)` block, in native byte order as `blocks` gives it."""
        self._hash.update(block.data)

    def hexdigest(self) -> str:
        """Name the content once every block was added."""
        return self._hash.hexdigest()


class Ledger:
    """What was in the inputs when they were last read, in `<out>/inputs.json`; and how long each stage has taken.

    It only saves time: a damaged or missing ledger costs a second look at the files.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._lock = threading.Lock()
        found = _load(out / layout.LEDGER)
        self._known: dict[str, list[Any]] = found.get("files", {})
        self._seconds: dict[str, float] = found.get("seconds", {})
        self._unsaved = False
        self._saved = time.monotonic()

    def content(self, key: str, path: str | Path) -> str | None:
        """Content of an input if it is known and the file has not changed since; reads nothing."""
        with self._lock:
            known = self._known.get(key)
        if known is None:
            return None
        try:
            return str(known[-1]) if tuple(known[:-1]) == stamp_of(path) else None
        except DataError:
            return None

    def sha256(self, path: str | Path) -> str:
        """Content of a small file that the driver reads itself, such as an encoder's weights."""
        file = str(Path(path).absolute())
        content = self.content(file, file)
        if content is None:
            stamp = stamp_of(file)
            content = content_of(Input(file, ""))
            self.note([[file, *stamp, content]])
        return content

    def note(self, entries: Iterable[list[Any]]) -> None:
        """Remember what units have read."""
        with self._lock:
            for key, *rest in entries:
                self._known[key] = rest
                self._unsaved = True
            due = self._unsaved and time.monotonic() - self._saved > _SAVE_SECONDS
        if due:
            self.save()

    def spent(self, what: str, seconds: float) -> None:
        """Add to the time that something has taken."""
        with self._lock:
            self._seconds[what] = round(self._seconds.get(what, 0.0) + seconds, 3)
            self._unsaved = True

    def seconds(self, what: str) -> float:
        """How long something has taken, over all runs."""
        return self._seconds.get(what, 0.0)

    def save(self) -> None:
        """Write the ledger, if there is anything new in it."""
        with self._lock:
            if self._unsaved:
                whole = {"files": self._known, "seconds": self._seconds}
                write_atomic(self._out, layout.LEDGER, json.dumps(whole, sort_keys=True).encode())
                self._unsaved = False
                self._saved = time.monotonic()


def _load(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict) or not all(isinstance(found.get(k), dict) for k in ("files", "seconds")):
        return {}
    found["files"] = {k: v for k, v in found["files"].items() if isinstance(v, list) and len(v) == 4}
    return found
