"""A part's rows and vectors, put in the order of their groups, so that a group can be read from all parts.

Groups are dealt to buckets by a hash of their name. The vectors of a part lie in one array in the order of the buckets
and, inside a bucket, of the groups; beside it is an Arrow file with a piece for each bucket. Planned by `measure`.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from indexes.errors import DataError
from pipeline import layout
from pipeline.commit import Attempt
from pipeline.execution.work import Json, Work
from pipeline.files.arrow_file import write_pieces
from pipeline.files.storage import output_errors
from pipeline.passes.measure_unit import Other
from pipeline.passes.part_pass import Pass, pairs, whole_columns
from pipeline.sets.parts import Part, Stored

GROUP = "group"
COLUMN = "column "
"""Begins the names of the columns that measures asked for, so that none is taken for one of these."""
FIXED = pa.schema(
    [
        ("high", pa.uint64()),
        ("low", pa.uint64()),
        ("place", pa.int64()),
        ("slot", pa.int64()),
        ("healthy", pa.bool_()),
        (GROUP, pa.string()),
    ]
)
"""Of each row: both halves of its uid, its place among the part's rows, its place in the arrays of vectors, whether it
has every vector, and its group; then the columns that measures asked for."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What decides a unit's bytes: the part's rows and vectors, what groups them, and how many buckets there are."""

    key: str
    by: str | None
    buckets: int
    part: int
    rows: str
    skip: tuple[int, ...]
    vectors: dict[str, str]
    others: dict[str, list[str]]
    own: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the part, its vectors and other measures' columns lie."""

    part: Part
    lanes: dict[str, Stored]
    others: tuple[Other, ...]


def perform(work: Work[Identity, Settings], into: Attempt) -> Json:
    """Sort the rows by group, then write every vector where its row is."""
    identity, settings = work.identity, work.settings
    table = _rows(identity, settings)
    grouped, bucket, order = _dealt(table, identity)
    slot = np.full(len(table), -1, np.int64)
    slot[order] = np.arange(len(order))
    healthy = _write_vectors(work, into, slot, len(order))
    columns = {"place": pa.array(np.arange(len(table))), "slot": pa.array(slot), "healthy": pa.array(healthy)}
    columns |= {GROUP: grouped} | {name: table.column(name) for name in table.column_names}
    fields = [pa.field(n, table.schema.field(n).type) for n in table.column_names if n not in FIXED.names]
    schema = pa.schema([*FIXED, *fields])
    whole = pa.table([columns[name] for name in schema.names], schema=schema)
    ends = np.searchsorted(bucket[order], np.arange(identity.buckets + 1))
    pieces = (whole.take(pa.array(order[a:b])) for a, b in pairwise(ends.tolist()))
    relative = layout.scattered_rows(identity.key, identity.part)
    write_pieces(into.file(relative), pieces, schema)
    into.add(relative)
    return {"rows": len(table), "grouped": len(order)}


def _rows(identity: Identity, settings: Settings) -> pa.Table:
    """Read the uids and columns of a part, without its vectors."""
    tables = [rows.table for rows in Pass(settings.part, {}, identity.own).blocks()]
    if not tables:
        return pa.table({"high": pa.array([], pa.uint64()), "low": pa.array([], pa.uint64())})
    read = pa.concat_tables(tables)
    uids = pairs(read)
    columns: dict[str, Any] = {"high": pa.array(uids[:, 0]), "low": pa.array(uids[:, 1])}
    columns |= {f"{COLUMN}{name}": read.column(name) for name in identity.own}
    for other in settings.others:
        found = whole_columns(other.paths[0], other.columns or ())
        columns |= {f"{COLUMN}{other.need}.{name}": values for name, values in found.items()}
    return pa.table(columns)


def _dealt(table: pa.Table, identity: Identity) -> tuple[Any, NDArray[np.int64], NDArray[np.int64]]:
    """Name each row's group, deal groups to buckets, and list the rows that have one in the order of both."""
    if identity.by is None or not len(table):
        text = pa.array([""] * len(table), pa.string())
    else:
        text = group_text(table.column(f"{COLUMN}{identity.by}"), identity.by)
    coded = pc.dictionary_encode(text)
    dealt = [zlib.crc32(name.encode()) % identity.buckets for name in coded.dictionary.to_pylist()]
    code = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    bucket = np.where(code < 0, -1, np.array([*dealt, -1], np.int64)[code])
    order = np.lexsort((code, bucket))
    return text, bucket, order[bucket[order] >= 0]


def group_text(values: Any, name: str) -> Any:
    """Write `(n,)` values of the column that groups as texts; NULL stays.

    Raises:
        DataError: If a value is not one text or number.
    """
    try:
        return values.combine_chunks().cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(
            f"'{name}' holds {values.type}, but a sample is in one group: under within, name a column of texts or "
            "numbers"
        ) from error


def _write_vectors(
    work: Work[Identity, Settings], into: Attempt, slot: NDArray[np.int64], count: int
) -> NDArray[np.bool_]:
    """Write the vectors of each lane at their slots; says which rows have all of them."""
    identity, settings = work.identity, work.settings
    paths = {key: layout.scattered_vectors(identity.key, key, identity.part) for key in settings.lanes}
    healthy = np.zeros(len(slot), bool)
    looking = Pass(settings.part, settings.lanes, noted=into.noted)
    arrays: dict[str, Any] = {}
    at = 0
    with output_errors(into.out):
        for key, relative in paths.items():
            shape = (count, settings.lanes[key].files[0].width)
            arrays[key] = _created(into.file(relative), shape)
        for rows in looking.blocks():
            mask, here = rows.healthy(list(settings.lanes)), slot[at : at + len(rows.table)]
            mask &= here >= 0
            for key, array in arrays.items():
                taken = rows.lanes[key].vectors[mask[rows.lanes[key].healthy]]
                if len(taken):
                    array[here[mask]] = taken
            healthy[at : at + len(here)] = mask
            at += len(here)
        for array in arrays.values():
            if isinstance(array, np.memmap):
                array.flush()
    into.noted |= looking.contents()
    for relative in paths.values():
        into.add(relative)
    return healthy


def _created(path: Any, shape: tuple[int, int]) -> Any:
    """Make an array in a file; an empty one cannot be mapped."""
    if 0 in shape:
        np.save(path, np.empty(shape, np.float16), allow_pickle=False)
        return np.empty(shape, np.float16)
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
