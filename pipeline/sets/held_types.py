"""Types that Parquet has and DuckDB lacks, as one that both have; no value changes but for how it is written."""

from __future__ import annotations

from typing import Any, TypeAlias

import pyarrow as pa

ArrowType: TypeAlias = Any
_DIGITS = 38
"""DuckDB's decimals have so many digits."""


def held_type(kind: ArrowType) -> ArrowType:
    """Find the type under which a column is kept: its own, unless DuckDB would refuse it or give back another.

    A duration becomes the number of its units; a decimal of more than 38 digits becomes text.
    """
    if pa.types.is_duration(kind):
        return pa.int64()
    if pa.types.is_decimal256(kind):
        return pa.decimal128(kind.precision, kind.scale) if kind.precision <= _DIGITS else pa.string()
    if pa.types.is_struct(kind):
        return pa.struct([_held(kind.field(place)) for place in range(kind.num_fields)])
    if pa.types.is_map(kind):
        return pa.map_(held_type(kind.key_type), held_type(kind.item_type))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(_held(kind.value_field), kind.list_size)
    if pa.types.is_list(kind):
        return pa.list_(_held(kind.value_field))
    if pa.types.is_large_list(kind):
        return pa.large_list(_held(kind.value_field))
    return kind


def _held(field: Any) -> Any:
    return field.with_type(held_type(field.type))
