"""Metadata Parquet with one row per vector: what clip-retrieval, DataComp and LAION share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from indexes.errors import DataError, ShapeError
from pipeline.files import vectors
from pipeline.files.parquet import parquet_rows
from pipeline.readers._contract import Shard, ShardRows
from pipeline.readers._pieces import pieces
from pipeline.sets import columns

Id = TypeVar("Id", int, str)
_NAMED = 5


def pair(
    tables: Mapping[Id, Path], embeddings: Mapping[Id, Path], folders: tuple[Path, Path], array: str | None
) -> list[Shard]:
    """Join metadata files and vector files that have the same number or stem.

    Args:
        tables: Metadata files by number or stem.
        embeddings: Vector files by number or stem.
        folders: Where each kind lies, for messages.
        array: Name of the array in each vector file; None for .npy.

    Returns:
        One shard per pair, by ascending number or stem.

    Raises:
        DataError: If a partner is missing or a file is damaged.
        ShapeError: If a pair differs in rows, or two shards in width.
    """
    _refuse_singles([tables[name] for name in tables if name not in embeddings], "vector file", folders[1])
    _refuse_singles([embeddings[name] for name in embeddings if name not in tables], "metadata", folders[0])
    found = [
        _shard(number, tables[name], vectors.inspect(embeddings[name], array))
        for number, name in enumerate(sorted(tables))
    ]
    for shard in found:
        _same_width(found[0], shard)
    return found


def read(shard: Shard, keys: tuple[str, ...] = columns.KEY_NAMES) -> ShardRows:
    """Read the metadata of a shard; its Parquet file is the first of its files.

    Raises:
        DataError: If it is damaged or has changed; what its columns hold is found out as they are read.
    """
    path = shard.files[0]
    held = parquet_rows(path)
    if shard.rows is not None and held != shard.rows:
        raise DataError(
            f"'{path}' has changed during the run: it had {shard.rows:,} rows, now {held:,}. "
            "Run again once nothing writes to it"
        )
    return ShardRows(lambda: pieces(shard.name, path, keys), columns.no_loss())


def _shard(number: int, table: Path, file: vectors.VectorFile) -> Shard:
    rows = parquet_rows(table)
    if rows != file.rows:
        raise ShapeError(
            f"'{file.path}' holds {file.rows:,} vectors and its metadata '{table}' {rows:,} rows; row i of "
            "one must be row i of the other. Fetch or write both again"
        )
    return Shard(number, table.stem, (str(table), file.path), file, False, rows)


def _refuse_singles(single: Sequence[Path], partner: str, folder: Path) -> None:
    if single:
        first = ", ".join(f"'{file.name}'" for file in single[:_NAMED])
        raise DataError(
            f"{len(single):,} files in '{single[0].parent}' have no {partner} in '{folder}' ({first}); a "
            "shard is a pair. Fetch the missing files, or take these away"
        )


def _same_width(first: Shard, other: Shard) -> None:
    if first.vectors and other.vectors and first.vectors.width != other.vectors.width:
        raise ShapeError(
            f"'{other.vectors.path}' has vectors of width {other.vectors.width}, '{first.vectors.path}' of "
            f"width {first.vectors.width}; one set comes from one encoder. Take out what does not belong to "
            "it"
        )
