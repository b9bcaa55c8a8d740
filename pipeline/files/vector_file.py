"""An array of vectors in an .npy file or an .npz member: its header checked, opened at its first vector.

Nothing here unpickles: a header is text, and an array of Python objects is refused by its type.
"""

from __future__ import annotations

import errno
import math
import os
import stat
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, cast

import numpy as np

from indexes.errors import DataError, UnknownNameError
from pipeline.files.afar.far_reading import open_far

# What zipfile, zlib and numpy raise on a file that is torn or no such file.
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)
_KINDS = ("float16", "float32", "float64")
_LONGEST_HEAD = 1 << 16
_ADVICE = "Save it again as a two-dimensional float16 array, one row per sample, with numpy.save"


@dataclass(frozen=True, slots=True)
class VectorFile:
    """A checked array of vectors: an .npy file, or one member of an .npz.

    Attributes:
        path: Absolute path.
        array: Name of the npz member, or None for an .npy file.
        rows: Number of vectors.
        width: Length of each.
        dtype: numpy's short name with the byte order, as stored: `<f2`, `>f4`, …
    """

    path: str
    array: str | None
    rows: int
    width: int
    dtype: str

    @property
    def nbytes(self) -> int:
        """Bytes of the vectors, uncompressed."""
        return self.rows * self.width * np.dtype(self.dtype).itemsize


class _Head:
    """As much of a file as numpy reads a header from: one that says it has gigabytes is refused before it is read."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def read(self, size: int) -> bytes:
        if size > _LONGEST_HEAD:
            raise ValueError(f"it says that it has {size:,} bytes")
        return self._stream.read(size)


@contextmanager
def open_array(path: str, array: str | None) -> Iterator[tuple[VectorFile, IO[bytes]]]:
    """Check an array's header and the size of its file, and open it at its first vector.

    Args:
        path: An .npy or .npz file.
        array: Name of the array in an .npz; may be left out where there is only one.

    Raises:
        DataError: If the file is missing, truncated, pickled, not two-dimensional or not of floats.
        UnknownNameError: If the .npz has no such array; the message lists what it has.
    """
    with _opened(path) as file:
        if not _is_zip(file):
            yield _checked(file, path, None, _end(file)), file
            return
        with _archive(file, path) as archive:
            name, member = _member(archive, path, array)
            with archive.open(member) as stream:
                yield _checked(stream, path, name, member.file_size), stream


@contextmanager
def _opened(path: str) -> Iterator[IO[bytes]]:
    far = open_far(path)
    if far is not None:
        with far:
            yield cast("IO[bytes]", far)
        return
    try:
        # O_NONBLOCK: opening a named pipe must not wait for a writer that never comes.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise DataError(f"cannot open the vector file '{path}': {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise DataError(f"'{path}' is not a regular file; a vector file is an .npy or .npz")
    with os.fdopen(handle, "rb", buffering=0) as file:
        yield file


def _end(file: IO[bytes]) -> int:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    return size


def _is_zip(file: IO[bytes]) -> bool:
    """Tell by the first bytes: a truncated archive has lost its end, by which zipfile tells."""
    first = file.read(2)
    file.seek(0)
    return first == b"PK"


@contextmanager
def _archive(file: IO[bytes], path: str) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(file) as archive:
            yield archive
    except (OSError, *DAMAGE) as error:
        if (
            isinstance(error, OSError) and error.errno != errno.EINVAL
        ):  # as of a place before the file's first byte
            raise
        raise DataError(f"'{path}' is not a whole npz archive ({error}). Fetch or write it again") from error


def _member(archive: zipfile.ZipFile, path: str, array: str | None) -> tuple[str, zipfile.ZipInfo]:
    members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    if array is None and len(members) == 1:
        array = next(iter(members))
    if array is None:
        raise DataError(f"'{path}' holds {len(members)} arrays ({', '.join(sorted(members))}); name one")
    if array not in members:
        raise UnknownNameError("array", array, members, f"Name one of these of '{path}' under embedding")
    return array, members[array]


def _checked(stream: IO[bytes], path: str, array: str | None, size: int) -> VectorFile:
    """Read the .npy header, leave the stream at the first vector, and hold the header against the size."""
    label = f"'{path}'" if array is None else f"array '{array}' of '{path}'"
    shape, column_major, dtype = _header(stream, label)
    if dtype.hasobject:
        raise DataError(f"{label} holds pickled Python objects, which can run code; never read. {_ADVICE}")
    if len(shape) != 2 or shape[1] < 1:
        raise DataError(
            f"{label} has shape {shape}; vectors are two-dimensional, (samples, width). {_ADVICE}"
        )
    if dtype.name not in _KINDS:
        raise DataError(f"{label} holds {dtype}; vectors are {', '.join(_KINDS)}. {_ADVICE}")
    if column_major and min(shape) > 1:
        raise DataError(
            f"{label} is stored column by column (Fortran order); rows cannot be streamed. {_rows_first(path, array)}"
        )
    expected = stream.tell() + math.prod(shape) * dtype.itemsize
    if size != expected:
        fault = "is truncated" if size < expected else "has bytes after its end"
        raise DataError(
            f"{label} {fault}: {size:,} bytes, its header asks for {expected:,} "
            f"({shape[0]:,} rows of {shape[1]} {dtype.name}). Fetch or write it again"
        )
    return VectorFile(path, array, shape[0], shape[1], dtype.str)


def _rows_first(path: str, array: str | None) -> str:
    """Advice for a column-major array: numpy.save alone keeps the order that an array has in memory."""
    if array is None:
        return (
            f"Store it row by row, in Python: import numpy; "
            f"numpy.save({path!r}, numpy.ascontiguousarray(numpy.load({path!r})))"
        )
    return (
        f"Store it row by row, in Python: import numpy; numpy.savez({path!r}, "
        f"**{{k: numpy.ascontiguousarray(v) for k, v in numpy.load({path!r}).items()}})"
    )


def _header(stream: IO[bytes], label: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    start = stream.tell()
    try:
        try:
            return _described(stream)
        except SystemError:
            # Python 3.11 counts how deep two threads are in their literals together, and takes it for a mistake.
            stream.seek(start)
            return _described(stream)
    except (ValueError, SyntaxError, TypeError, tokenize.TokenError, *DAMAGE) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{label} has no whole numpy header ({reason}). Fetch or write it again") from error


def _described(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    head: Any = _Head(stream)
    if np.lib.format.read_magic(head) == (1, 0):
        return np.lib.format.read_array_header_1_0(head)
    return np.lib.format.read_array_header_2_0(head)


def array_names(path: str) -> tuple[str, ...]:
    """List the arrays of an .npz file, by its directory.

    Raises:
        DataError: If it is no such file, or damaged.
    """
    try:
        with _opened(path) as file, zipfile.ZipFile(file) as archive:
            return tuple(name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy"))
    except (OSError, *DAMAGE) as error:
        raise DataError(f"'{path}' is not a whole .npz file ({error}). Fetch or write it again") from error
