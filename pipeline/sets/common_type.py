"""One type for a column that has several, such that no value changes: the one place that decides it.

Where types alone do not decide (64-bit integers beside fractions, timestamps of several units), the values do; where
nothing else holds every value, text does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

ArrowArray: TypeAlias = Any
ArrowType: TypeAlias = Any
Values: TypeAlias = Callable[[], Iterable[ArrowArray]]

TEXT = pa.string()
_UNSIGNED_64 = pa.decimal128(20, 0)
"""Holds int64 and uint64 alike."""
_INTS = (pa.int8(), pa.int16(), pa.int32(), pa.int64())
_UNSIGNED = (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())
_DIGITS = {8: 3, 16: 5, 32: 10, 64: 20}
_UNITS = ("ns", "us", "ms", "s")
_EXACT = float(1 << 53)
"""Up to here a float64 holds every integer."""


def common_type(kinds: Collection[ArrowType], values: Values) -> ArrowType:
    """Find the type that holds every value of a column.

    Args:
        kinds: The types that the column has.
        values: Gives its values, whose types are among `kinds`; called only where types alone do not decide.

    Returns:
        The first type of `candidates` into which every value goes unchanged.
    """
    possible = candidates(kinds)
    if len(possible) == 1:
        return possible[0]
    for array in values():
        possible = [kind for kind in possible if kind == TEXT or _fits(array, kind)]
        if possible == [TEXT]:
            break
    return possible[0]


def candidates(kinds: Collection[ArrowType]) -> list[ArrowType]:
    """List the types that may hold values of all of `kinds`, the best first; the last one always does."""
    if len(set(kinds) - {pa.null()}) < 2:
        return [*(set(kinds) - {pa.null()} or {pa.null()})]
    found = different(kinds)
    if len(found) == 1:
        return found
    for look in (_numbers, _texts, _times):
        possible = look(found)
        if possible:
            return possible
    try:
        merged = pa.unify_schemas(
            [pa.schema([("x", kind)]) for kind in found], promote_options="permissive"
        ).types
    except pa.ArrowException:
        merged = []
    return [*merged, TEXT]


def different(kinds: Collection[ArrowType]) -> list[ArrowType]:
    """List the types that differ in what values are, and not only in how they are stored; nulls have none."""
    return list(dict.fromkeys(plain(kind) for kind in kinds if not pa.types.is_null(kind)))


def converted(column: ArrowArray, kind: ArrowType) -> ArrowArray:
    """Turn a column into a type that `common_type` found for it.

    Numbers and times are written as text in one way, whatever type they had on the way there: 5 and 5.0 are `5`.

    Raises:
        pa.ArrowException: If a value does not fit.
    """
    if column.type == kind:
        return column
    if plain(column.type) != column.type:
        return converted(column.cast(plain(column.type)), kind)
    if kind == TEXT:
        return _as_text(column)
    found = column.cast(kind)
    # Arrow rounds a fraction that becomes a decimal, where it refuses one that becomes an integer.
    if pa.types.is_floating(column.type) and pa.types.is_decimal(kind):
        _refuse_rounded(column, found)
    return found


def _refuse_rounded(column: ArrowArray, found: ArrowArray) -> None:
    if not pc.all(pc.equal(column, found.cast(column.type)), min_count=0).as_py():
        raise pa.ArrowInvalid(f"some values of a column of type {column.type} are no {found.type}")


def _fits(array: ArrowArray, kind: ArrowType) -> bool:
    try:
        converted(array, kind)
    except pa.ArrowException:
        return False
    return True


def plain(kind: ArrowType) -> ArrowType:
    """Strip of a type what says how values are stored and not what they are."""
    if pa.types.is_dictionary(kind):
        return plain(kind.value_type)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return TEXT
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return pa.binary()
    return pa.binary() if pa.types.is_fixed_size_binary(kind) else kind


def _numbers(kinds: Sequence[ArrowType]) -> list[ArrowType]:
    whole = [kind for kind in kinds if pa.types.is_integer(kind)]
    fractions = [kind for kind in kinds if pa.types.is_floating(kind)]
    decimals = [kind for kind in kinds if pa.types.is_decimal(kind)]
    if len(whole) + len(fractions) + len(decimals) < len(kinds):
        return []
    if decimals:
        return [TEXT] if fractions else [_decimal(whole, decimals)]
    if not fractions:
        return [_integer(whole)]
    if not whole:
        return [max(fractions, key=lambda kind: int(kind.bit_width))]
    widest = max(kind.bit_width for kind in whole)
    if widest <= 16 and all(kind.bit_width <= 32 for kind in fractions):
        return [pa.float32()]
    # A text column of numbers serves nobody, so values may still show that one kind of number holds them all.
    return [pa.float64()] if widest <= 32 else [_integer(whole), pa.float64(), TEXT]


def _integer(kinds: Sequence[ArrowType]) -> ArrowType:
    """Find the smallest type that holds integers of all these types."""
    signed = max((kind.bit_width for kind in kinds if kind in _INTS), default=0)
    unsigned = max((kind.bit_width for kind in kinds if kind in _UNSIGNED), default=0)
    if not signed:
        return next(kind for kind in _UNSIGNED if kind.bit_width == unsigned)
    needed = max(signed, 2 * unsigned)
    return next((kind for kind in _INTS if kind.bit_width >= needed), _UNSIGNED_64)


def _decimal(whole: Sequence[ArrowType], decimals: Sequence[ArrowType]) -> ArrowType:
    scale = max(0, *(kind.scale for kind in decimals))
    before = max(
        *(kind.precision - kind.scale for kind in decimals), *(_DIGITS[kind.bit_width] for kind in whole), 1
    )
    return pa.decimal128(before + scale, scale) if before + scale <= 38 else TEXT


def _texts(kinds: Sequence[ArrowType]) -> list[ArrowType]:
    return [pa.binary()] if all(kind in (TEXT, pa.binary()) for kind in kinds) else []


def _times(kinds: Sequence[ArrowType]) -> list[ArrowType]:
    """Timestamps and days: the finest unit that reaches as far as the values do."""
    stamps = [kind for kind in kinds if pa.types.is_timestamp(kind)]
    zones = {kind.tz for kind in stamps} | ({None} if len(stamps) < len(kinds) else set())
    if not stamps or not all(pa.types.is_timestamp(kind) or pa.types.is_date(kind) for kind in kinds):
        return []
    if None in zones and len(zones) > 1:
        return [TEXT]  # which moment a time without a zone means, nobody knows
    zone = zones.pop() if len(zones) == 1 else "UTC"
    finest = min(_UNITS.index(kind.unit) for kind in stamps)
    return [*(pa.timestamp(unit, zone) for unit in _UNITS[finest:]), TEXT]


def _as_text(column: ArrowArray) -> ArrowArray:
    kind = column.type
    if pa.types.is_floating(kind):
        return _float_text(column.cast(pa.float64()))
    if pa.types.is_nested(kind) or isinstance(kind, pa.BaseExtensionType) or pa.types.is_binary(kind):
        return pa.array([_written(value) for value in column.to_pylist()], TEXT)
    text = column.cast(TEXT)
    if pa.types.is_temporal(kind) or pa.types.is_decimal(kind):
        shorter = pc.replace_substring_regex(text, r"(\.\d*?)0+(Z?)$", r"\1\2")
        return pc.replace_substring_regex(shorter, r"\.(Z?)$", r"\1")
    return text


def _float_text(column: ArrowArray) -> ArrowArray:
    whole = pc.and_(pc.equal(column, pc.trunc(column)), pc.less_equal(pc.abs(column), _EXACT))
    integers = pc.if_else(pc.fill_null(whole, False), column, None).cast(pa.int64())
    return pc.coalesce(integers.cast(TEXT), column.cast(TEXT))


def _written(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False, default=_inner)
    return str(value)


def _inner(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
