"""Which columns of measures come along with a sample of an atlas, what they are called there, and their values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.files.parquet import parquet_schema, read_batches
from pipeline.measuring import Instance

OWN = ("uid", "key", "caption", "url", "label")
VECTOR, PICTURE = "vector", "picture"
_TAKEN = (*OWN, VECTOR, PICTURE, "image", "neighbors", "projection_x", "projection_y")
_SEARCHED = ("similarity", "margin")
"""Columns of a benchmark; the others are positions of queries."""


@dataclass(frozen=True, slots=True)
class CarriedColumns:
    """Columns of a measure that come along, and what they are called there."""

    name: str
    columns: tuple[str, ...]
    called: tuple[str, ...]


def told_columns(measured: Sequence[tuple[Instance, pa.Schema]]) -> list[CarriedColumns]:
    """Choose the columns of one value each, and name them so that each name is there once.

    Args:
        measured: Measures, with the columns of their files.
    """
    taken = set(_TAKEN)
    found = []
    for one, has in measured:
        chosen = [field.name for field in has if _is_one_value(field.type) and field.name != "uid"]
        chosen = [name for name in chosen if not one.searches or name in _SEARCHED]
        called = []
        for name in chosen:
            full = one.name if name == one.name else f"{one.name}_{name}"
            while full.lower() in taken:
                full += "_"
            taken.add(full.lower())
            called.append(full)
        found.append(CarriedColumns(one.name, tuple(chosen), tuple(called)))
    return found


def _is_one_value(kind: pa.DataType) -> bool:
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    return bool(number or pa.types.is_boolean(kind) or pa.types.is_string(kind))


def looked_up(
    uids: pa.ChunkedArray, measured: CarriedColumns, path: Path
) -> Iterator[tuple[str, pa.ChunkedArray]]:
    """Take a measure's columns for some samples; NULL where it says nothing."""
    if not measured.columns:
        return
    wanted = uids.combine_chunks()
    held = [
        pa.Table.from_batches([batch.filter(pc.is_in(batch.column("uid"), value_set=wanted))])
        for batch in read_batches(path, ["uid", *measured.columns])
    ]
    has = parquet_schema(path)
    empty = (
        pa.schema([has.field(name) for name in ("uid", *measured.columns)]).remove_metadata().empty_table()
    )
    table = pa.concat_tables([empty, *(one.replace_schema_metadata(None) for one in held)]).combine_chunks()
    places = pc.index_in(wanted, value_set=table.column("uid").combine_chunks())
    for name, called in zip(measured.columns, measured.called, strict=True):
        yield called, table.column(name).take(places)
