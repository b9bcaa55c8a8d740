"""Text as strangers' files hold it, made Arrow strings of valid UTF-8."""

from __future__ import annotations

import re
import unicodedata
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

ArrowArray: TypeAlias = Any
ArrowType: TypeAlias = Any
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def plain_text(value: str) -> str:
    """Replace each lone surrogate, which UTF-8 cannot hold but JSON and file names can, by U+FFFD."""
    return value if value.isascii() else _LONE_SURROGATE.sub("\ufffd", value)


def loose(name: str) -> str:
    """Write a path as others may have: `/` for the separator of Windows, letters with their accents in one (NFC)."""
    return unicodedata.normalize("NFC", name.replace("\\", "/"))


def text(column: ArrowArray) -> ArrowArray:
    """Turn a column into Arrow strings of valid UTF-8; bytes that are not are replaced by U+FFFD.

    Args:
        column: Text, bytes, dictionary-coded text, integers or nulls.

    Raises:
        pa.ArrowInvalid: If the column is of another type.
    """
    kind = column.type
    if pa.types.is_floating(kind) and pc.all(pc.is_null(column, nan_is_null=True), min_count=0).as_py():
        return pa.nulls(len(column), pa.string())  # how pandas writes a text column without any text
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
    elif pa.types.is_nested(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        raise pa.ArrowInvalid(f"it holds {kind}")
    try:
        plain = column.cast(pa.string())
        plain.validate(full=True)
    except pa.ArrowInvalid:
        values = column.cast(pa.binary()).to_pylist()
        decoded = [None if value is None else value.decode("utf-8", "replace") for value in values]
        plain = pa.array(decoded, pa.string())
    return plain


def holds_lists_of_text(kind: ArrowType) -> bool:
    """Tell whether a column has several texts a row, as sets with several captions an image do."""
    listed = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return bool(listed and (pa.types.is_string(kind.value_type) or pa.types.is_large_string(kind.value_type)))


def first_texts(column: ArrowArray) -> ArrowArray:
    """Take the first text of each list; null where there is none."""
    found = [
        next((one for one in texts or () if one is not None), None)
        for batch in ([column] if isinstance(column, pa.Array) else column.chunks)
        for texts in batch.to_pylist()
    ]
    return pa.array(found, pa.string())
