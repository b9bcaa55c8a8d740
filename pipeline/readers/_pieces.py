"""Metadata Parquet a piece at a time: memory does not grow with the file, and the rows are those of the whole."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from indexes.errors import DataError
from pipeline.readers._held import MetadataFile
from pipeline.sets import columns, uids

# Many for a column's text to stay below 2 GB, which Arrow's strings cannot exceed, few for speed.
PIECE = 16_384


def pieces(shard: str, file: MetadataFile, keys: tuple[str, ...]) -> Iterator[pa.Table]:
    """Read what `columns.samples` makes of a Parquet file, some rows at a time, at least one table.

    Raises:
        DataError: As `columns.samples` and `MetadataFile`.
    """
    schema, path = file.schema(), file.path
    if not len(schema) or not _row_by_row(schema, keys):
        yield columns.samples(file.whole(), shard, path, keys)
        return
    try:
        copies = _copies(file, schema, shard, keys)
        for first, piece in _numbered(file, schema, None):
            yield columns.samples(piece, shard, path, keys, first, copies)
    except DataError:
        columns.samples(file.whole(), shard, path, keys)  # which says it of the whole file
        raise


def _row_by_row(schema: pa.Schema, keys: tuple[str, ...]) -> bool:
    """Tell whether what becomes of a row depends on that row alone, but for `_copies`."""
    place = columns.places_of(schema.names, keys)["uid"]
    # Binary uids are the pool's own only if every row has one.
    binary = place is not None and schema.types[place] in (uids.UUID, uids.UUID.storage_type)
    return not binary and len(set(schema.names)) == len(schema.names)


def _copies(file: MetadataFile, schema: pa.Schema, shard: str, keys: tuple[str, ...]) -> set[int]:
    """Find the columns that repeat, under its name, one that has a role, in every row."""
    places = columns.places_of(schema.names, keys)
    pairs = {
        place: places[name.lower()]
        for place, name in enumerate(schema.names)
        if name.lower() in places and place not in places.values()
    }
    needed = sorted({place for pair in pairs.items() for place in pair if place is not None})
    names = [schema.names[place] for place in needed]
    same = set(pairs)
    for first, piece in _numbered(file, schema, names) if pairs else ():
        found = columns.copied(piece, columns.roles(piece, shard, file.path, keys, first)[1])
        same &= {needed[place] for place in found}
        if not same:
            break
    return same


def _numbered(
    file: MetadataFile, schema: pa.Schema, names: list[str] | None
) -> Iterator[tuple[int, pa.Table]]:
    """Read all columns or some, a piece at a time, with the number of its first row; one piece of no rows."""
    first = 0
    for batch in file.batches(names, PIECE):
        yield first, pa.Table.from_batches([batch])
        first += batch.num_rows
    if not first:
        empty = schema.empty_table()
        yield 0, empty if names is None else empty.select(names)
