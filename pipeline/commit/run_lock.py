"""One run at a time per output folder: `flock` on `<out>/.lock`, which also says who holds it.

The kernel drops the lock when its holder dies, so a killed run leaves nothing to clean up. Each holder writes
a new token; a worker that outlives its run sees another token there and does not commit (pipeline/commit/publish.py).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import secrets
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from indexes.errors import OutputError
from pipeline.execution.failpoints import failpoint
from pipeline.files.locking.file_locks import NoFileLocksError, lock
from pipeline.files.storage import open_folder, output_errors

LOCK_NAME = ".lock"
_PATIENCE = 20


@dataclass(frozen=True, slots=True)
class Holder:
    """The run that holds, or last held, an output folder."""

    pid: int
    host: str
    token: str


@contextlib.contextmanager
def hold(out: Path) -> Iterator[Holder]:
    """Hold the output folder for the length of a run, making it if need be.

    Raises:
        OutputError: If another run holds it (the message names process and host), or it cannot be written.
    """
    with _opened(out, os.O_RDWR | os.O_CREAT) as descriptor:
        if not _try_lock(descriptor, fcntl.LOCK_EX, out):
            raise OutputError(_in_use(out, _named(descriptor)))
        mine = Holder(os.getpid(), socket.gethostname(), secrets.token_hex(16))
        _say(descriptor, mine, out)
        failpoint("lock.held")
        yield mine


@contextlib.contextmanager
def lend(out: Path, token: str) -> Iterator[bool]:
    """Make a folder that no run of this machine holds one of the run `token`, which is at work on another machine.

    True where that is so once the block has ended well: `epoch` gives the token then. False where a process has it.
    """
    with _opened(out, os.O_RDWR | os.O_CREAT) as descriptor:
        free = _try_lock(descriptor, fcntl.LOCK_EX, out)
        yield free
        if free:
            _say(descriptor, Holder(os.getpid(), socket.gethostname(), token), out)


def holder(out: Path) -> Holder | None:
    """The run that holds the output folder now; None where no run does."""
    try:
        with _opened(out, os.O_RDONLY) as descriptor:
            if _try_lock(descriptor, fcntl.LOCK_SH, out):
                return None
            return _read(descriptor) or Holder(0, "unknown", "")
    except FileNotFoundError:
        return None


def epoch(out: Path) -> str | None:
    """Token of the run that holds, or last held, the output folder; None before the first."""
    try:
        with _opened(out, os.O_RDONLY) as descriptor:
            found = _read(descriptor)
    except FileNotFoundError:
        return None
    return found.token if found else None


@contextlib.contextmanager
def _opened(out: Path, flags: int) -> Iterator[int]:
    with open_folder(out, create=bool(flags & os.O_CREAT)) as folder:
        with output_errors(out / LOCK_NAME):
            descriptor = _open_lock(flags, folder, out)
        try:
            yield descriptor
        finally:
            os.close(descriptor)  # which also unlocks


def _open_lock(flags: int, folder: int, out: Path) -> int:
    try:
        return os.open(LOCK_NAME, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644, dir_fd=folder)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise OutputError(f"'{out / LOCK_NAME}' is a symbolic link; remove it and run again") from error


def _try_lock(descriptor: int, kind: int, out: Path) -> bool:
    try:
        return lock(descriptor, kind | fcntl.LOCK_NB)
    except NoFileLocksError as error:
        raise OutputError(
            f"the file system of '{out}' has no file locks, so two runs could write there at once; "
            "mount it with locks (Lustre: -o flock), or name an output on another file system"
        ) from error


def _say(descriptor: int, mine: Holder, out: Path) -> None:
    with output_errors(out / LOCK_NAME):
        content = json.dumps(asdict(mine)).encode()
        os.pwrite(descriptor, content, 0)
        os.ftruncate(descriptor, len(content))
        os.fsync(descriptor)


def _named(descriptor: int) -> Holder | None:
    """Read who holds the lock; a run that has only just taken it may need a moment to write that down."""
    for _ in range(_PATIENCE):
        found = _read(descriptor)
        if found is not None:
            return found
        time.sleep(0.05)
    return None


def _read(descriptor: int) -> Holder | None:
    try:
        found = json.loads(os.pread(descriptor, 4096, 0))
        return Holder(int(found["pid"]), str(found["host"]), str(found["token"]))
    except (ValueError, KeyError, TypeError):
        return None


def _in_use(out: Path, other: Holder | None) -> str:
    who = f"process {other.pid} on host {other.host}" if other else "another process"
    return (
        f"'{out}' is in use by another nearfar run ({who}); one run may write there at a time. "
        "Wait for it to end, stop it, or name another output"
    )
