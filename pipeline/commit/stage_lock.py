"""One commit at a time in a stage's folder of records, where the file system can lock."""

from __future__ import annotations

import contextlib
import errno
import fcntl
from collections.abc import Iterator

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF, errno.EINVAL}


@contextlib.contextmanager
def exclusive(folder: int) -> Iterator[None]:
    """Hold the lock of an open folder of records for the length of the block."""
    # Without locks the exclusive creation of the record still lets one worker win.
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    yield  # closing the folder unlocks it
