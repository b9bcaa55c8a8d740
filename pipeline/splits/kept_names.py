"""`uids.npy` and `keys.txt`: the names of what a split keeps, written as the rows stream by."""

from __future__ import annotations

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
    r"""Writes the uids of sorted batches, and their keys where they have them; a repeated sample stands there as often.

    A key stands on a line of its own: backslash, line feed and carriage return in it are written `\\`,
    `\n` and `\r`.
    """

    def __init__(self, uids: Path, keys: Path | None) -> None:
        self.rows = 0
        """Names written."""
        self._stack = ExitStack()
        self._uids: BinaryIO = self._stack.enter_context(uids.open("xb"))
        self._keys: BinaryIO | None = self._stack.enter_context(keys.open("xb")) if keys else None

    def __enter__(self) -> Self:
        self._write_header()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            if error is None:
                # numpy leaves room in the header for any number of rows, so that it can be written again.
                self._uids.seek(0)
                self._write_header()

    def add(self, batch: Any, times: NDArray[np.int64] | None = None) -> None:
        """Write the names of a record batch with the columns `uid` and, if keys are wanted, `key`.

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
        self.rows += batch.num_rows if times is None else int(times.sum())

    def _write_header(self) -> None:
        header = {
            "descr": np.lib.format.dtype_to_descr(PAIRS),
            "fortran_order": False,
            "shape": (self.rows,),
        }
        np.lib.format.write_array_header_1_0(self._uids, header)


def _lines(keys: Any) -> bytes:
    text = pc.fill_null(keys.cast(pa.string()), "")
    for mark, written in (("\\", "\\\\"), ("\n", "\\n"), ("\r", "\\r")):
        text = pc.replace_substring(text, mark, written)
    return ("\n".join(text.to_pylist()) + "\n").encode()
