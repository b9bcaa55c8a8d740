"""Committed files are what was committed: hashed again before anything is decided from them.

A bit that rots on the disk changes neither size nor time, and a reader of Parquet, NumPy or JSON may well make a number
of it. So before a run does a unit, every file of earlier units that it may read is compared with the sha256 of its
record; and so is each that the driver or a command decides from.
"""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from indexes.errors import OutputError
from pipeline.commit.records import Output, Record, output_of
from pipeline.files.digests import sha256_of


def is_sound(out: Path, output: Output) -> bool:
    """Hash a committed file, and say whether it is what its record names; one that is gone is not."""
    path = out / output.path
    try:
        return path.stat().st_size == output.bytes and sha256_of(path) == output.sha256
    except OSError:
        return False


def check_sound(out: Path, found: Iterable[Output]) -> None:
    """Hash committed files, as many at a time as there are processors.

    Raises:
        OutputError: With the first, by path, that is not what was committed, and the command that makes it again.
    """
    outputs = sorted(found, key=lambda output: output.path)
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
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
    try:
        content = (out / path).read_bytes()
    except OSError as error:
        raise not_sound(out, path) from error
    if hashlib.sha256(content).hexdigest() != output.sha256:
        raise not_sound(out, path)
    return content


def not_sound(out: Path, path: str) -> OutputError:
    """Say that a file is not what was committed, and what to do."""
    return OutputError(
        f"'{out / path}' is not what was committed: its sha256 differs; nothing was decided from it. "
        f"`nearfar verify {shlex.quote(str(out))} --repair` makes it again, and all that came of it"
    )
