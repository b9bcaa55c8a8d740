"""Vector files: checked before use, then read once from front to back in bounded memory.

Reads are plain reads, not memory maps: a file that shrinks under a map kills the process, while a short
read is an error that can be named.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from indexes.errors import DataError
from pipeline.files.vector_file import DAMAGE, VectorFile, open_array

__all__ = ["VectorFile", "blocks", "inspect", "take"]

# One read: large enough to be at disk speed, small enough that decompression needs no second block.
_PIECE = 8 << 20


def inspect(path: str | Path, array: str | None = None) -> VectorFile:
    """Check the header and the size of a vector file without reading its vectors.

    Args:
        path: An .npy or .npz file.
        array: Name of the array in an .npz; may be left out where there is only one.

    Raises:
        DataError: If the file is missing, truncated, pickled, not two-dimensional or not of floats.
        UnknownNameError: If the .npz has no such array; the message lists what it has.
    """
    with open_array(str(Path(path).absolute()), array) as (file, _):
        return file


def blocks(file: VectorFile, rows_per_block: int) -> Generator[NDArray[Any], None, None]:
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

    Raises:
        DataError: As `blocks`, and if the file has no such row.
    """
    if len(rows) and not 0 <= rows.min() <= rows.max() < file.rows:
        raise DataError(
            f"'{file.path}' has rows 0 to {file.rows - 1:,}, not {rows.min():,} to {rows.max():,}"
        )
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
    with open_array(file.path, file.array) as (found, stream):
        if file != found:
            raise DataError(
                f"'{file.path}' has changed during the run: it had {file.rows:,} rows of {file.width} "
                f"({file.dtype}), now {found.rows:,} of {found.width} ({found.dtype}). Run again once nothing "
                "writes to it"
            )
        yield stream


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
    except (OSError, *DAMAGE) as error:
        raise DataError(
            f"'{file.path}' cannot be read to its end ({error}). Fetch or write it again"
        ) from error
    return block if block.dtype.isnative else block.astype(block.dtype.newbyteorder("="))


def _at_end(stream: IO[bytes], file: VectorFile) -> None:
    """Touch the end, which is where zip compares its checksum."""
    try:
        stream.read(1)
    except DAMAGE as error:
        raise DataError(f"'{file.path}' is damaged ({error}). Fetch or write it again") from error
