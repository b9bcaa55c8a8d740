"""Vectors of many files as one long array, read once from front to back."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.errors import DataError
from pipeline.files.inputs import ArrayDigest
from pipeline.files.vector_file import VectorFile
from pipeline.files.vectors import blocks, take

# Rows read at a time. Measured: with blocks above 32 MB, which the C library gives back to the system one by one,
# reading takes several times as long.
BLOCK = 16_384


class Cursor:
    """Takes rows in ascending order; the files are read through, so that their content is known in the end."""

    def __init__(self, files: Sequence[VectorFile], digest: bool = True) -> None:
        """Begin before the first row; `digest` takes the content of each file, which costs a hash of its bytes."""
        self._files = files
        self._digests = digest
        self._ended: list[str] = []
        self._blocks = self._read()
        self._start = 0
        self._block: NDArray[Any] = np.empty((0, files[0].width), np.dtype(files[0].dtype).newbyteorder("="))

    def _read(self) -> Generator[NDArray[Any], None, None]:
        for file in self._files:
            digest = ArrayDigest(file)
            with closing(blocks(file, BLOCK)) as stream:
                for block in stream:
                    if self._digests:
                        digest.add(block)
                    yield block
            self._ended.append(digest.hexdigest())

    def take(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Read the vectors of these rows, ascending and beyond those that were taken before.

        Returns:
            `(len(rows), width)` in the files' type.

        Raises:
            DataError: If the files end before the last row, or are damaged.
        """
        pieces: list[NDArray[Any]] = []
        at = 0
        while at < len(rows):
            while rows[at] >= self._start + len(self._block):
                self._advance(int(rows[-1]))
            last = int(np.searchsorted(rows, self._start + len(self._block)))
            inside = rows[at:last] - self._start
            first, stop = int(inside[0]), int(inside[-1]) + 1
            whole = stop - first == len(inside)
            pieces.append(self._block[first:stop] if whole else self._block[inside])
            at = last
        if not pieces:
            return self._block[:0]
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def _advance(self, wanted: int) -> None:
        following = next(self._blocks, None)
        if following is None:
            rows = sum(file.rows for file in self._files)
            raise DataError(
                f"{self._files[-1].path} and those before it hold {rows:,} vectors, but the metadata names row "
                f"{wanted:,}; vectors and metadata are out of step: pair the right files"
            )
        self._start += len(self._block)
        self._block = following

    def close(self) -> None:
        """Stop reading."""
        self._blocks.close()

    def contents(self) -> list[str]:
        """Read what is left, and say what is in each file (see `ArrayDigest`); nothing without `digest`."""
        if not self._digests:
            return []
        for _ in self._blocks:
            pass
        return self._ended


def take_rows(files: Sequence[VectorFile], rows: NDArray[np.int64]) -> NDArray[Any]:
    """Read single rows of files that follow one another as one long array; no others are read.

    Returns:
        `(len(rows), width)`, in the order asked.

    Raises:
        DataError: As `take`.
    """
    starts = np.cumsum([0, *(file.rows for file in files)])
    found = np.empty((len(rows), files[0].width), np.dtype(files[0].dtype).newbyteorder("="))
    owner = np.searchsorted(starts, rows, side="right") - 1
    for at, file in enumerate(files):
        own = np.flatnonzero(owner == at)
        if len(own):
            found[own] = take(file, rows[own] - starts[at])
    return found
