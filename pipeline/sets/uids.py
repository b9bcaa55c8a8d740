"""The 128-bit identity of a sample: 32 hex digits in every table, pairs of uint64 in memory and in DataComp's files.

Order is the same in both, and in Arrow's uuid type between them: lowercase hex, (high, low) and bytes sort alike.
"""

from __future__ import annotations

import hashlib
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from indexes.errors import DataError

UUID = pa.uuid()
HEX_DIGITS = 32
# Hashing goes through Python objects, so it runs over slices: memory stays flat however long the shard is.
_SLICE = 1 << 16
_NOT_HEX = 255

# pyarrow ships no types, so an alias of Any says which kind of value is meant.
ArrowArray: TypeAlias = Any


def _nibbles() -> NDArray[np.uint8]:
    table = np.full(256, _NOT_HEX, np.uint8)
    for value, digit in enumerate("0123456789abcdef"):
        table[ord(digit)] = table[ord(digit.upper())] = value
    return table


_VALUE_OF = _nibbles()
_DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)


def from_hex(values: ArrowArray) -> ArrowArray:
    """Read 32-digit hex text, upper or lower case, as uuids.

    Args:
        values: `(n,)` Arrow strings.

    Returns:
        `(n,)` Arrow uuids without nulls.

    Raises:
        DataError: If a value is null or not 32 hex digits; the message names the first ones.
    """
    text = _one_array(values).cast(pa.string())
    lengths = pc.fill_null(pc.binary_length(text), -1).to_numpy(zero_copy_only=False)
    if not len(text):
        return _uuids(np.empty((0, 16), np.uint8))
    if (lengths != HEX_DIGITS).any():
        raise _not_hex(text, np.flatnonzero(lengths != HEX_DIGITS))
    # Equal lengths, so the characters are one dense block of the values buffer.
    start = int(np.frombuffer(text.buffers()[1], np.int32)[text.offset])
    letters = np.frombuffer(text.buffers()[2], np.uint8, len(text) * HEX_DIGITS, start)
    nibbles = _VALUE_OF[letters].reshape(-1, HEX_DIGITS)
    wrong = np.flatnonzero((nibbles == _NOT_HEX).any(axis=1))
    if wrong.size:
        raise _not_hex(text, wrong)
    return _uuids(np.bitwise_or(nibbles[:, 0::2] << 4, nibbles[:, 1::2], dtype=np.uint8))


def derive(url: ArrowArray, caption: ArrowArray, key: ArrowArray) -> ArrowArray:
    r"""Make uuids for samples whose pool brings none.

    With a url it is md5(url + "\n" + caption), where a null caption counts as empty: LAION itself tells
    samples apart by (URL, TEXT). Without a url, or with an empty one, it is md5(key). Text is hashed
    as UTF-8.

    Args:
        url: `(n,)` Arrow strings.
        caption: `(n,)` Arrow strings.
        key: `(n,)` Arrow strings.

    Returns:
        `(n,)` Arrow uuids.
    """
    digests = bytearray()
    for start in range(0, len(key), _SLICE):
        for value in _hashed_text(*(column.slice(start, _SLICE) for column in (url, caption, key))):
            digests += hashlib.md5(value, usedforsecurity=False).digest()
    return _uuids(np.frombuffer(bytes(digests), np.uint8).reshape(-1, 16))


def _hashed_text(url: ArrowArray, caption: ArrowArray, key: ArrowArray) -> list[bytes]:
    named = pc.binary_join_element_wise(url, pc.fill_null(caption, ""), "\n")
    has_url = pc.fill_null(pc.greater(pc.binary_length(url), 0), False)
    text: list[bytes] = pc.if_else(has_url, named, pc.fill_null(key, "")).cast(pa.binary()).to_pylist()
    return text


def resolve(table: pa.Table, where: str, shard: str | None = None) -> pa.Table:
    """Add uids to a table that a reader made: the pool's own, else derived.

    Args:
        table: Columns key, url, caption and, where the pool brings it, `uid` as hex.
        where: What the error message calls the table.
        shard: What tells rows without url apart from those of other shards, where keys may start again in each: their
            uid is derived from `<shard>/<key>` instead of the key. Valid UTF-8.

    Returns:
        The table with `uid` as its first column: 32 lowercase hex digits.

    Raises:
        DataError: If the pool's own uid is not 128-bit hex in every row.
    """
    if "uid" not in table.column_names:
        keys = table["key"] if shard is None else pc.binary_join_element_wise(shard, table["key"], "/")
        return table.add_column(0, "uid", as_hex(derive(table["url"], table["caption"], keys)))
    try:
        own = from_hex(table["uid"])
    except DataError as error:
        raise DataError(f"{where}: {error}") from None
    return table.drop_columns(["uid"]).add_column(0, "uid", as_hex(own))


def as_pairs(uids: ArrowArray) -> NDArray[np.uint64]:
    """Turn into `(n, 2)` uint64, high half first, `(n,)` Arrow uuids or hex text without nulls.

    Raises:
        DataError: If a text is not 32 hex digits.
    """
    uuids = from_hex(uids) if pa.types.is_string(uids.type) else uids
    return _bytes(uuids).view(">u8").astype(np.uint64)


def from_pairs(pairs: NDArray[np.uint64]) -> ArrowArray:
    """Turn into `(n,)` Arrow uuids `(n, 2)` uint64, high half first."""
    return _uuids(np.ascontiguousarray(pairs, dtype=">u8").view(np.uint8).reshape(-1, 16))


def as_hex(uuids: ArrowArray) -> ArrowArray:
    """Write uuids as `(n,)` Arrow strings of 32 lowercase hex digits; nulls stay null."""
    whole = _one_array(uuids)
    raw = _bytes(whole)
    digits = np.empty((len(raw), HEX_DIGITS), np.uint8)
    digits[:, 0::2] = _DIGITS[raw >> 4]
    digits[:, 1::2] = _DIGITS[raw & 15]
    fixed = pa.Array.from_buffers(pa.binary(HEX_DIGITS), len(raw), [None, pa.py_buffer(digits.tobytes())])
    text = fixed.cast(pa.binary()).cast(pa.string())
    return pc.if_else(whole.storage.is_valid(), text, None) if whole.null_count else text


def _bytes(uuids: ArrowArray) -> NDArray[np.uint8]:
    storage = _one_array(uuids).storage
    if not len(storage):
        return np.empty((0, 16), np.uint8)
    raw = np.frombuffer(storage.buffers()[1], np.uint8, len(storage) * 16, storage.offset * 16)
    return raw.reshape(-1, 16)


def _uuids(raw: NDArray[np.uint8]) -> ArrowArray:
    storage = pa.Array.from_buffers(UUID.storage_type, len(raw), [None, pa.py_buffer(raw.tobytes())])
    return pa.ExtensionArray.from_storage(UUID, storage)


def _one_array(values: ArrowArray) -> ArrowArray:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def _not_hex(text: ArrowArray, rows: NDArray[np.int64]) -> DataError:
    first = ", ".join(f"row {row}: {_shown(text[int(row)].as_py())}" for row in rows[:3])
    return DataError(
        f"column 'uid' holds {len(rows):,} of {len(text):,} values that are not 128-bit hex ({first}); a uid "
        f"is {HEX_DIGITS} hex digits in every row. Correct them, or rename the column: uids are then derived"
    )


def _shown(value: str | None) -> str:
    return "null" if value is None else ascii(value[:40])
