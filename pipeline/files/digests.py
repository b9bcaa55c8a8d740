"""sha256 of files, and a cache of those of the inputs so that a resumed run need not read them again."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from indexes.errors import DataError
from pipeline.files.storage import write_atomic

CACHE_NAME = "inputs.json"
_SAVE_EVERY = 4 << 30
"""Bytes hashed between two saves of the cache: what a crash can cost."""


def sha256_of(path: Path) -> str:
    """Hash a file as a stream; lowercase hex."""
    with path.open("rb", buffering=0) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class InputDigests:
    """Digests of input files, cached in `<out>/inputs.json` under (path, size, mtime, ctime).

    The cache only saves time: `nearfar verify` hashes anew, and a damaged or missing cache is rebuilt. Leave
    the `with` block (or call `save`) to write it. One object may be shared by threads.
    """

    def __init__(self, out: Path, anew: bool = False) -> None:
        """Open the cache of an output folder; `anew` trusts nothing that is in it."""
        self._out = out
        self._lock = threading.Lock()
        self._known: dict[str, list[object]] = {} if anew else _load(out / CACHE_NAME)
        self._unsaved = 0

    def sha256(self, path: str | os.PathLike[str]) -> str:
        """Digest of an input file, read only where it changed since it was last hashed.

        Raises:
            DataError: If the file is missing, is no file, cannot be read, or changes while it is read.
        """
        file = Path(path).absolute()
        try:
            before = _stamp(file)
            with self._lock:
                known = self._known.get(str(file))
            if known is not None and known[:-1] == before:
                return str(known[-1])
            digest = sha256_of(file)
            after = _stamp(file)
        except OSError as error:
            raise DataError(
                f"cannot read '{path}': {error.strerror}; the plan or a manifest names it as an input. "
                "Put it back, or correct the path"
            ) from error
        if after != before:
            raise DataError(f"'{path}' changed while it was read; stop what is writing to it and run again")
        self._remember(str(file), [*before, digest])
        return digest

    def cached(self, path: str | os.PathLike[str]) -> str | None:
        """Digest of an input file if it is known and the file has not changed since; reads nothing."""
        file = Path(path).absolute()
        try:
            stamp = _stamp(file)
        except OSError:
            return None
        with self._lock:
            known = self._known.get(str(file))
        return str(known[-1]) if known is not None and known[:-1] == stamp else None

    def save(self) -> None:
        """Write the cache, if there is anything new to write."""
        with self._lock:
            if self._unsaved:
                content = json.dumps(self._known, indent=0, sort_keys=True)
                write_atomic(self._out, CACHE_NAME, content.encode())
                self._unsaved = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.save()

    def _remember(self, file: str, entry: list[object]) -> None:
        with self._lock:
            self._known[file] = entry
            self._unsaved += 1 + int(str(entry[0]))
            due = self._unsaved > _SAVE_EVERY
        if due:
            self.save()


def _stamp(file: Path) -> list[object]:
    found = file.stat()
    # ctime cannot be set back by a tool that restores mtime, so both have to stand still
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _load(path: Path) -> dict[str, list[object]]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {file: entry for file, entry in found.items() if isinstance(entry, list) and len(entry) == 4}
