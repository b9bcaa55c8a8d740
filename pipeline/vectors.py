"""Vector files: checked before use, then read once from front to back in bounded memory.

Reads are plain reads, not memory maps: a file that shrinks under a map kills the process, while a short
read is an error that can be named.
"""

from __future__ import annotations

import math
import os
import stat
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from indexes.errors import DataError, UnknownNameError

_KINDS = ("float16", "float32", "float64")
_ADVICE = "Save it again as a two-dimensional float16 array, one row per sample, with numpy.save"
# One read: large enough to be at disk speed, small enough that decompression needs no second block.
_PIECE = 8 << 20
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)


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


def inspect(path: str | Path, array: str | None = None) -> VectorFile:
    """Check the header and the size of a vector file without reading its vectors.

    Args:
        path: An .npy or .npz file.
        array: Name of the array in an .npz; may be left out where there is only one.

    Raises:
        DataError: If the file is missing, truncated, pickled, not two-dimensional or not of floats.
        UnknownNameError: If the .npz has no such array; the message lists what it has.
    """
    absolute = str(Path(path).absolute())
    with _opened(absolute) as file:
        if not _is_zip(file):
            return _checked(file, absolute, None, os.fstat(file.fileno()).st_size)
        with _archive(file, absolute) as archive:
            name, member = _member(archive, absolute, array)
            with archive.open(member) as stream:
                return _checked(stream, absolute, name, member.file_size)


def blocks(file: VectorFile, rows_per_block: int) -> Iterator[NDArray[Any]]:
    """Read a vector file from front to back, one block ahead of the caller.

    A thread reads the next block while the caller works on this one, so two blocks are in memory beside those
    that the caller keeps. An npz member is decompressed as it is read.

    Args:
        file: What `inspect` returned; the file must not have changed since.
        rows_per_block: Rows of each block but the last.

    Yields:
        `(m, width)` arrays in native byte order, of the dtype in the file; each is the caller's to keep.

    Raises:
        DataError: If the file has changed, ends early or is damaged.
    """
    sizes = [min(rows_per_block, file.rows - start) for start in range(0, file.rows, rows_per_block)]
    with _stream(file) as stream, ThreadPoolExecutor(1, "nearfar-read") as reader:
        ahead = reader.submit(_read, stream, file, sizes[0]) if sizes else None
        for size in [*sizes[1:], 0]:
            if ahead is None:
                break
            block = ahead.result()
            ahead = reader.submit(_read, stream, file, size) if size else None
            yield block
        _at_end(stream, file)


def take(file: VectorFile, rows: NDArray[np.int64]) -> NDArray[Any]:
    """Read single rows, in the order given.

    Meant for spot checks: an npz member is decompressed up to the last of them.
    """
    taken = np.empty((len(rows), file.width), np.dtype(file.dtype).newbyteorder("="))
    with _stream(file) as stream:
        first = stream.tell()
        row_bytes = file.nbytes // max(file.rows, 1)
        for place in np.argsort(rows, kind="stable"):
            stream.seek(first + int(rows[place]) * row_bytes)
            taken[place] = _read(stream, file, 1)[0]
    return taken


@contextmanager
def _stream(file: VectorFile) -> Iterator[IO[bytes]]:
    """Open the file at its first vector, having checked that it still is what `inspect` saw."""
    with _opened(file.path) as raw:
        if file.array is None:
            found = _checked(raw, file.path, None, os.fstat(raw.fileno()).st_size)
            _unchanged(file, found)
            yield raw
            return
        with _archive(raw, file.path) as archive:
            name, member = _member(archive, file.path, file.array)
            with archive.open(member) as stream:
                _unchanged(file, _checked(stream, file.path, name, member.file_size))
                yield stream


@contextmanager
def _opened(path: str) -> Iterator[IO[bytes]]:
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
    except _DAMAGE as error:
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
            f"{label} is stored column by column (Fortran order); rows cannot be streamed. {_ADVICE}"
        )
    expected = stream.tell() + math.prod(shape) * dtype.itemsize
    if size != expected:
        fault = "is truncated" if size < expected else "has bytes after its end"
        raise DataError(
            f"{label} {fault}: {size:,} bytes, its header asks for {expected:,} "
            f"({shape[0]:,} rows of {shape[1]} {dtype.name}). Fetch or write it again"
        )
    return VectorFile(path, array, shape[0], shape[1], dtype.str)


def _header(stream: IO[bytes], label: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        version = np.lib.format.read_magic(stream)
        if version == (1, 0):
            return np.lib.format.read_array_header_1_0(stream)
        return np.lib.format.read_array_header_2_0(stream)
    except (ValueError, SyntaxError, TypeError, tokenize.TokenError, *_DAMAGE) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{label} has no whole numpy header ({reason}). Fetch or write it again") from error


def _read(stream: IO[bytes], file: VectorFile, rows: int) -> NDArray[Any]:
    block = np.empty((rows, file.width), np.dtype(file.dtype))
    view = block.view(np.uint8).reshape(-1).data
    filled = 0
    try:
        while filled < len(view):
            got = stream.readinto(view[filled : filled + _PIECE])  # type: ignore[attr-defined]
            if not got:
                raise EOFError("it ends early")
            filled += got
    except (OSError, *_DAMAGE) as error:
        raise DataError(
            f"'{file.path}' cannot be read to its end ({error}). Fetch or write it again"
        ) from error
    return block if block.dtype.isnative else block.astype(block.dtype.newbyteorder("="))


def _at_end(stream: IO[bytes], file: VectorFile) -> None:
    """Touch the end, which is where zip compares its checksum."""
    try:
        stream.read(1)
    except _DAMAGE as error:
        raise DataError(f"'{file.path}' is damaged ({error}). Fetch or write it again") from error


def _unchanged(file: VectorFile, found: VectorFile) -> None:
    if file != found:
        raise DataError(
            f"'{file.path}' has changed during the run: it had {file.rows:,} rows of {file.width} "
            f"({file.dtype}), now {found.rows:,} of {found.width} ({found.dtype}). Run again once nothing "
            "writes to it"
        )
