"""Committed files are what was committed: hashed again before anything is decided from them.

A bit that rots on the disk changes neither size nor time, and a reader of Parquet, NumPy or JSON may well make a
number of it. So right before a unit is done, in the process that does it, every file of earlier units that it reads is
compared with the sha256 of its record; and so is each that the driver or a command decides from.

A process remembers what it has hashed. The digest of a file need not be taken again while the file has the same inode,
size and times: whatever writes to it by the file system changes `ctime`, which no program can set back. Two things
change no stamp. A write within the same tick of the clock as the one before it: so a digest is remembered only of a
file that had stood still for a while. And rot: so it is forgotten after some minutes. A unit of work takes as long, and
what rots while it reads is as old; what one stage of a long run wrote is hashed again before a later stage reads it.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from indexes.errors import OutputError
from pipeline.commit.on_stores import bring
from pipeline.commit.records import Output, Record, output_of
from pipeline.files.digests import sha256_of

KEPT_SECONDS = 600.0
"""How long a digest is believed of a file that nothing has written to."""
STILL_NS = 2_000_000_000
"""How old a file's last change has to be, so that another would be of another time on any file system."""
_Stamp = tuple[int, ...]
_hashed: dict[str, tuple[_Stamp, str, float]] = {}
"""By path, what a file was when this process hashed it: its stamp, its sha256, and when that was."""


def is_sound(out: Path, output: Output) -> bool:
    """Say whether a committed file is what its record names, hashing it if need be; one that is gone is not.

    In a working copy of a store, a file that is not is brought from there, and looked at again.
    """
    return _is_sound(out, output) or (bring(out, output) and _is_sound(out, output))


def _is_sound(out: Path, output: Output) -> bool:
    path = out / output.path
    try:
        stamp, now = _stamp(path), time.monotonic()
        held, sha256, at = _hashed.get(str(path), ((), "", now))
        if held == stamp and sha256 == output.sha256 and now - at < KEPT_SECONDS:
            return True
        still = time.time_ns() - max(stamp[-2:]) > STILL_NS
        sha256 = sha256_of(path) if path.stat().st_size == output.bytes else ""
        if still:  # what is written from here on changes the stamp
            _hashed[str(path)] = (stamp, sha256, now)
        return sha256 == output.sha256
    except OSError:
        return False


def _stamp(path: Path) -> _Stamp:
    """Look at a file without reading it."""
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def check_sound(out: Path, found: Iterable[Output], threads: int | None = None) -> None:
    """Hash committed files, as many at a time as there are processors, or `threads`.

    Raises:
        OutputError: With the first, by path, that is not what was committed, and the command that makes it again.
    """
    outputs = sorted(found, key=lambda output: output.path)
    with ThreadPoolExecutor(threads or len(os.sched_getaffinity(0))) as pool:
        for output, sound in zip(outputs, pool.map(lambda one: is_sound(out, one), outputs), strict=True):
            if not sound:
                pool.shutdown(cancel_futures=True)
                raise not_sound(out, output.path)


def sound_bytes(out: Path, record: Record, path: str) -> bytes:
    """Read a small committed file whole: what is returned is what was committed.

    Raises:
        OutputError: If it is not.
    """
    output = output_of(record, path)
    content = _sound_content(out, output)
    if content is None and bring(out, output):
        content = _sound_content(out, output)
    if content is None:
        raise not_sound(out, path)
    return content


def _sound_content(out: Path, output: Output) -> bytes | None:
    try:
        content = (out / output.path).read_bytes()
    except OSError:
        return None
    return content if hashlib.sha256(content).hexdigest() == output.sha256 else None


def not_sound(out: Path, path: str) -> OutputError:
    """Say that a file is not what was committed, and what to do."""
    return OutputError(
        f"'{out / path}' is not what was committed: its sha256 differs; nothing was decided from it. "
        f"`nearfar verify {shlex.quote(str(out))} --repair` makes it again, and all that came of it"
    )
