"""Image files one by one: their bytes, and why some are not read at all."""

from __future__ import annotations

import os
from pathlib import Path

from indexes.errors import DataError
from pipeline.files.afar.far_reading import open_near_or_far
from pipeline.files.afar.stand_ins import length_of
from pipeline.readers._contract import IMAGE_SUFFIXES, MAX_IMAGE_BYTES, too_large
from pipeline.sets import columns


def key_of(root: Path, file: str) -> str:
    """Name a file by its path inside the set."""
    inside = file[len(str(root).rstrip(os.sep)) + 1 :]
    return columns.plain_text(inside.replace(os.sep, "/"))


def fault_of(file: str) -> str | None:
    """Say why an image is not read at all, by its name and size; None where it is.

    Raises:
        DataError: If the file has gone.
    """
    kind, size = Path(file).suffix.lower(), _size(file)
    if kind not in IMAGE_SUFFIXES:
        return f"nearfar decodes no {kind}; convert it to .png or .jpg"
    return too_large(size) if size > MAX_IMAGE_BYTES else None


def bytes_of(file: str) -> bytes:
    """Read a file.

    Raises:
        DataError: If it cannot be read.
    """
    try:
        with open_near_or_far(file) as opened:
            return opened.read() or b""
    except OSError as error:
        raise _unreadable(file, error) from error


def _size(file: str) -> int:
    try:
        return length_of(file)
    except OSError as error:
        raise _unreadable(file, error) from error


def _unreadable(file: str, error: OSError) -> DataError:
    return DataError(
        f"cannot read the image '{file}': {error.strerror}. Let nothing change the set while it is read"
    )
