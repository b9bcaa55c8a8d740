"""Image files one by one: their bytes, and why some are not read at all."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from indexes.errors import DataError
from pipeline.files.afar.endings import IMAGE_SUFFIXES
from pipeline.files.afar.far_reading import open_near_or_far
from pipeline.files.afar.stand_ins import length_of, stand_in
from pipeline.readers._contract import MAX_IMAGE_BYTES, too_large
from pipeline.sets import columns
from pipeline.stores.at_once import ahead


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


def each_bytes(files: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Read files one after the other; of those on a store some of the next too, since most of it is waiting.

    Raises:
        DataError: As `bytes_of`.
    """
    wanted = list(files)
    far = any(stand_in(file) is not None for file in wanted)
    return zip(wanted, ahead(bytes_of, wanted) if far else map(bytes_of, wanted), strict=True)


def _size(file: str) -> int:
    try:
        return length_of(file)
    except OSError as error:
        raise _unreadable(file, error) from error


def _unreadable(file: str, error: OSError) -> DataError:
    return DataError(
        f"cannot read the image '{file}': {error.strerror}. Let nothing change the set while it is read"
    )
