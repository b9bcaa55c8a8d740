"""Metadata Parquet with one row per vector: what clip-retrieval, DataComp and LAION share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeAlias, TypeVar

import pyarrow as pa

from indexes.errors import DataError, ShapeError
from pipeline.files.parquet import parquet_rows
from pipeline.files.vectors import VectorFile, inspect
from pipeline.readers._contract import Shard, ShardRows
from pipeline.readers._files import side_by_side
from pipeline.readers._held import MetadataFile
from pipeline.readers._pieces import pieces
from pipeline.sets import columns

Id = TypeVar("Id", int, str)
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Arrays(Generic[Id]):
    """Vector files by number or stem, and the name of the array in each; None for .npy."""

    files: Mapping[Id, Path]
    array: str | None = None


def pair(
    tables: Mapping[Id, Path], embeddings: Mapping[str, Arrays[Id]], folders: tuple[Path, Path]
) -> list[Shard]:
    """Join metadata files and vector files that have the same number or stem.

    Args:
        tables: Metadata files by number or stem.
        embeddings: By name (`image`, `text`, …), the vector files by number or stem, and which array of them.
        folders: Where each kind lies, for messages.

    Returns:
        One shard per pair, by ascending number or stem.

    Raises:
        DataError: If a partner is missing or a file is damaged.
        ShapeError: If files that belong together differ in rows, or two shards in width.
    """
    for found in embeddings.values():
        files = found.files
        _refuse_singles([tables[name] for name in tables if name not in files], "vector file", folders[1])
        _refuse_singles([files[name] for name in files if name not in tables], "metadata", folders[0])
    names = sorted(tables)

    def look(number: int) -> Shard:
        name = names[number]
        arrays = {key: inspect(found.files[name], found.array) for key, found in embeddings.items()}
        return _shard(number, tables[name], arrays)

    shards = side_by_side(look, range(len(names)))
    for shard in shards:
        _same_width(shards[0], shard)
    return shards


def files_of(shards: Sequence[Shard]) -> list[str]:
    """List the files of all shards."""
    return [file for shard in shards for file in shard.files]


Notes: TypeAlias = Callable[[str, pa.Schema], tuple[str, ...]]


def no_notes(path: str, schema: pa.Schema) -> tuple[str, ...]:
    """Stand for the notes of a format about whose files there is nothing to say."""
    return ()


class TableRead:
    """A shard whose metadata is one Parquet file, the first of its files; its vectors are read elsewhere."""

    def __init__(self, shard: Shard, keys: tuple[str, ...], notes: Notes = no_notes) -> None:
        self._shard, self._keys, self._notes = shard, keys, notes
        self._file = MetadataFile(shard.files[0])

    def images(self) -> Iterator[tuple[str, bytes]]:
        """Read no images: the format has none."""
        return iter(())

    def rows(self) -> ShardRows:
        """Read the metadata.

        Raises:
            DataError: If it is damaged or has changed; what its columns hold is found out as they are read.
        """
        self._file.hold()
        return rows_of(self._shard, self._keys, self._notes, self._file)

    def digests(self) -> dict[str, str]:
        """Hash the metadata file."""
        return {self._file.path: self._file.digest()}


def rows_of(
    shard: Shard, keys: tuple[str, ...], notes: Notes = no_notes, file: MetadataFile | None = None
) -> ShardRows:
    """Read the metadata of a shard; its Parquet file is the first of its files.

    Args:
        shard: The shard.
        keys: Names of the key column, the likeliest first.
        notes: What to say about a file of such a schema.
        file: That file, where it is open already.

    Raises:
        DataError: If it is damaged or has changed; what its columns hold is found out as they are read.
    """
    found = MetadataFile(shard.files[0]) if file is None else file
    held = found.rows
    if shard.rows is not None and held != shard.rows:
        raise DataError(
            f"'{found.path}' has changed during the run: it had {shard.rows:,} rows, now {held:,}. "
            "Run again once nothing writes to it"
        )
    told = (*notes(found.path, found.schema()), *columns.taken_otherwise(found.schema()))
    return ShardRows(
        lambda: pieces(shard.name, found, keys),
        columns.no_loss(),
        told,
        apart=columns.plain_text(shard.name),
    )


def _shard(number: int, table: Path, arrays: Mapping[str, VectorFile]) -> Shard:
    rows = parquet_rows(table)
    for file in arrays.values():
        if rows != file.rows:
            raise ShapeError(
                f"'{file.path}' holds {file.rows:,} vectors and its metadata '{table}' {rows:,} rows; row i of "
                "one must be row i of the other. Fetch or write both again"
            )
    files = dict.fromkeys([str(table), *(file.path for file in arrays.values())])
    return Shard(number, table.stem, tuple(files), arrays, False, rows)


def _refuse_singles(single: Sequence[Path], partner: str, folder: Path) -> None:
    if single:
        first = ", ".join(f"'{file.name}'" for file in single[:_NAMED])
        raise DataError(
            f"{len(single):,} files in '{single[0].parent}' have no {partner} in '{folder}' ({first}); a "
            "shard is a pair. Fetch the missing files, or take these away"
        )


def _same_width(first: Shard, other: Shard) -> None:
    for name, file in other.vectors.items():
        before = first.vectors.get(name)
        if before is None or before.width != file.width:
            got = "none of that name" if before is None else f"vectors of width {before.width}"
            raise ShapeError(
                f"'{file.path}' has {name} vectors of width {file.width}, the shard '{first.name}' has {got}; "
                "one set comes from one encoder. Take out what does not belong to it"
            )
