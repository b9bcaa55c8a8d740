"""One commit at a time in a stage's folder of records, where the file system can lock."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator

from pipeline.files.locking.file_locks import NoFileLocksError, lock


@contextlib.contextmanager
def exclusive(folder: int) -> Iterator[None]:
    """Hold the lock of an open folder of records for the length of the block."""
    # Without locks the exclusive creation of the record still lets one worker win.
    with contextlib.suppress(NoFileLocksError):
        lock(folder, fcntl.LOCK_EX)
    yield  # closing the folder unlocks it
