"""`uids.npy`, `keys.txt`, `sources.npy`: the names of what a split keeps, written as the rows stream by."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.sets.uids import as_pairs

# DataComp's subset file: structured pairs of uint64, sorted; np.save writes this very header.
PAIRS = np.dtype("u8,u8")


class KeptNames:
    r"""Writes the uids of sorted batches, their keys, and the sets that they come from; a repeated sample as often.

    A key stands on a line of its own: backslash, line feed and carriage return in it are written `\\`,
    `\n` and `\r`. A set is its place in `names`, a byte.
    """

    def __init__(
        self, uids: Path, keys: Path | None, sources: Path | None = None, names: Sequence[str] = ()
    ) -> None:
        self.rows = 0
        """Names written."""
        self._stack = ExitStack()
        self._uids: BinaryIO = self._stack.enter_context(uids.open("xb"))
        self._keys: BinaryIO | None = self._stack.enter_context(keys.open("xb")) if keys else None
        self._sources: BinaryIO | None = self._stack.enter_context(sources.open("xb")) if sources else None
        self._names = pa.array(names, pa.string())

    def __enter__(self) -> Self:
        self._write_header()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            if error is None:
                # numpy leaves room in the header for any number of rows, so that it can be written again.
                for file in (self._uids, self._sources):
                    if file is not None:
                        file.seek(0)
                self._write_header()

    def add(self, batch: Any, times: NDArray[np.int64] | None = None) -> None:
        """Write the names of a record batch with the columns `uid` and, where they are wanted, `key` and `source`.

        Args:
            batch: m rows.
            times: `(m,)`: how often each occurs; once if None.
        """
        pairs = as_pairs(batch.column("uid")).astype("<u8", copy=False)
        self._uids.write((pairs if times is None else np.repeat(pairs, times, axis=0)).tobytes())
        if self._keys is not None and batch.num_rows:
            keys = batch.column("key")
            if times is not None:
                keys = keys.take(pa.array(np.repeat(np.arange(len(times)), times)))
            self._keys.write(_lines(keys))
        if self._sources is not None:
            places = pc.index_in(batch.column("source"), value_set=self._names).to_numpy().astype(np.uint8)
            self._sources.write((places if times is None else np.repeat(places, times)).tobytes())
        self.rows += batch.num_rows if times is None else int(times.sum())

    def _write_header(self) -> None:
        for file, kind in ((self._uids, PAIRS), (self._sources, np.dtype(np.uint8))):
            if file is not None:
                header = {
                    "descr": np.lib.format.dtype_to_descr(kind),
                    "fortran_order": False,
                    "shape": (self.rows,),
                }
                np.lib.format.write_array_header_1_0(file, header)


def _lines(keys: Any) -> bytes:
    text = pc.fill_null(keys.cast(pa.string()), "")
    for mark, written in (("\\", "\\\\"), ("\n", "\\n"), ("\r", "\\r")):
        text = pc.replace_substring(text, mark, written)
    return ("\n".join(text.to_pylist()) + "\n").encode()
