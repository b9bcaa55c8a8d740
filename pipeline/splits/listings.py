"""A user's tables of uids or keys."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from indexes.errors import DataError
from pipeline.sets.uids import as_hex, from_hex, from_pairs

KINDS = "Parquet (.parquet), CSV with a header (.csv), text with one name a line (.txt), or DataComp's uids (.npy)"


def read_names(paths: Sequence[str], by: str) -> tuple[Any, dict[str, str]]:
    """Read the uids or keys in some tables; each file is read once.

    Args:
        paths: Files; how their names end says what they are.
        by: `uid` or `key`: the column of Parquet and CSV, the meaning of a line of text.

    Returns:
        `(n,)` Arrow strings, uids as 32 lowercase hex digits, repeats and all; and the sha256 of each file.

    Raises:
        DataError: If a file is missing, damaged, of another kind, or has no such column.
    """
    found, digests = [], {}
    for path in paths:
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            raise DataError(
                f"'{path}', a table of {by}s, cannot be read: {error.strerror}; correct the path"
            ) from error
        digests[path] = hashlib.sha256(content).hexdigest()
        names = _names(path, content, by)
        found.append(_hex(names, path) if by == "uid" else names)
    return pa.chunked_array(found, pa.string()).combine_chunks(), digests


def _names(path: str, content: bytes, by: str) -> Any:
    kind = Path(path).suffix.lower()
    try:
        if kind == ".parquet":
            return _column(pq.read_table(io.BytesIO(content)), by, path)
        if kind == ".npy" and by == "uid":
            pairs = np.load(io.BytesIO(content), allow_pickle=False)
            return as_hex(from_pairs(np.column_stack([pairs["f0"], pairs["f1"]])))
        text = content.decode("utf-8-sig")
        if kind == ".csv":
            rows = list(csv.DictReader(io.StringIO(text)))
            if rows and by not in rows[0]:
                raise DataError(f"'{path}' has no column {by}; it has: {', '.join(rows[0])}")
            return pa.array([row[by] for row in rows], pa.string())
    except (pa.ArrowException, ValueError, IndexError, csv.Error) as error:
        raise DataError(f"'{path}' is not a whole {kind or 'text'} file: {error}. Make it again") from error
    if kind != ".txt":
        raise DataError(
            f"'{path}' is no table of {by}s that is known; allowed are {KINDS}. Rename or convert it"
        )
    return pa.array([line for line in text.splitlines() if line], pa.string())


def _column(table: pa.Table, by: str, path: str) -> Any:
    if by not in table.column_names:
        raise DataError(f"'{path}' has no column {by}; it has: {', '.join(table.column_names)}")
    column = table.column(by).combine_chunks()
    return as_hex(column) if column.type == pa.uuid() else column.cast(pa.string())


def _hex(names: Any, path: str) -> Any:
    try:
        return as_hex(from_hex(pc.replace_substring(names, "-", "")))
    except DataError as error:
        raise DataError(f"'{path}': {error}") from error
