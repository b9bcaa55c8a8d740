"""Objects brought to files of this machine: several pieces at a time, each seen to be of the state that was listed."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline.execution.failpoints import failpoint
from pipeline.files.digests import sha256_of
from pipeline.files.storage import output_errors, temporary_name
from pipeline.stores.at_once import at_once
from pipeline.stores.far_files import FarObject

_PIECE = 8 << 20


class _Piece(NamedTuple):
    far: FarObject
    descriptor: int
    first: int
    into: Path


def bring_whole(wanted: Sequence[tuple[FarObject, Path]]) -> None:
    """Bring objects to files: all of them whole, or a file is as it was. Folders are made.

    Raises:
        DataError: If one is no longer what was seen, or not what its record names.
        OutputError: If a store refuses, or a file cannot be written.
    """
    with contextlib.ExitStack() as stack:
        made = [_begun(far, into, stack) for far, into in wanted]
        at_once(_write, [piece for temporary, pieces in made for piece in pieces])
        failpoint("far.downloaded")
        for (far, into), (temporary, _) in zip(wanted, made, strict=True):
            if far.file.sha256 and sha256_of(temporary) != far.file.sha256:
                raise far.rotten()
            with output_errors(into):
                temporary.replace(into)


def _begun(far: FarObject, into: Path, stack: contextlib.ExitStack) -> tuple[Path, list[_Piece]]:
    temporary = into.with_name(temporary_name(into.name))
    with output_errors(into):
        into.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    stack.callback(temporary.unlink, missing_ok=True)
    stack.callback(os.close, descriptor)
    return temporary, [_Piece(far, descriptor, first, into) for first in range(0, far.file.size, _PIECE)]


def _write(piece: _Piece) -> None:
    content = piece.far.part(piece.first, min(piece.first + _PIECE, piece.far.file.size))
    with output_errors(piece.into, piece.far.file.size):
        if os.pwrite(piece.descriptor, content, piece.first) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(piece.into))
