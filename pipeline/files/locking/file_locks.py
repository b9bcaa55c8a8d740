"""The kernel's locks of whole files: they go when their holder dies, so that nothing is left to clean up."""

from __future__ import annotations

import errno
import fcntl

# A file system may say so in each of these ways; EBADF is NFS's of a folder, which is never open for writing.
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF}


class NoFileLocksError(Exception):
    """The file system has no locks; what that means is said by who needs them."""


def lock(descriptor: int, kind: int) -> bool:
    """Lock an open file or folder until it is closed; False where another has it and `kind` says not to wait.

    Args:
        descriptor: Of what is open.
        kind: As `fcntl.flock` takes it.

    Raises:
        NoFileLocksError: If the file system has none.
        OSError: If it cannot be locked for another reason.
    """
    try:
        fcntl.flock(descriptor, kind)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _NO_LOCKS:
            raise NoFileLocksError from error
        raise
    return True
