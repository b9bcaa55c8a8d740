"""Which columns a set's samples will have, told by the footers of its files before any row is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pipeline.files.parquet import parquet_schema
from pipeline.readers import Shard, format_of, reader_of, side_by_side
from pipeline.readers._held import MetadataFile
from pipeline.readers._pieces import pieces
from pipeline.sets import columns
from pipeline.sets.samples import OWN_NAMES
from pipeline.sets.source import Source
from pipeline.sets.unify import unify


def own_columns(source: Source, shards: Sequence[Shard]) -> dict[str, Any]:
    """List the columns of `samples/` with their Arrow types, but for those that say where a sample lies.

    Every shard's schema is looked at, and the values of a column only where its types do not decide. A format without
    Parquet brings the columns that every set has, and no others.

    Raises:
        DataError: If a file is damaged.
    """
    reader = reader_of(format_of(source))
    keys = getattr(reader, "KEYS", columns.KEY_NAMES)
    metadata_of = getattr(reader, "metadata_of", lambda schema: schema)
    tables_of = getattr(reader, "metadata_files", _tables)
    tables = [(shard.name, file) for shard in shards for file in tables_of(shard)]
    schemas = side_by_side(lambda one: parquet_schema(one[1]), tables)
    distinct = {schema.remove_metadata(): one for schema, one in zip(schemas, tables, strict=True)}
    found = [
        columns.samples(metadata_of(schema).empty_table(), shard, file, keys).schema
        for schema, (shard, file) in distinct.items()
    ]

    def values(name: str) -> Iterator[Any]:
        for shard, file in tables:
            for piece in pieces(shard, MetadataFile(file), keys):
                if name in piece.column_names:
                    yield piece.column(name)

    whole = {field.name: field.type for field in unify(found, values)} if found else {}
    every = dict.fromkeys(("key", "url", "caption", "label", "image_sha256"), columns.TEXT)
    return every | {name: kind for name, kind in whole.items() if name not in OWN_NAMES}


def _tables(shard: Shard) -> tuple[str, ...]:
    """List the Parquet files of a shard: its metadata, unless the reader's `metadata_files` says otherwise."""
    return tuple(file for file in shard.files if file.lower().endswith(".parquet"))
