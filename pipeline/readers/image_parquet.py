"""Parquet with the images inside: img2dataset's `parquet` output, and image datasets of Hugging Face.

img2dataset has a column of the images' kind (`jpg`, `png`, `webp`), null where a download failed, and lists what
failed as its tars' sidecars do. Hugging Face has a column `image` whose values are the bytes and a path. A row without
bytes is a lost row. A row that brings no key is called by its shard and its number.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from indexes.errors import DataError
from pipeline.files.afar.endings import IMAGE_KINDS
from pipeline.files.parquet import parquet_rows, parquet_schema
from pipeline.readers import _files, _sidecar
from pipeline.readers._contract import MAX_IMAGE_BYTES, Shard, ShardRead, ShardRows, noted, too_large
from pipeline.readers._held import MetadataFile
from pipeline.readers._leftover import left_out
from pipeline.sets import columns
from pipeline.sets.source import Source

_NAMES = (*IMAGE_KINDS, "image", "img")
_BYTES = "bytes"
_NO_BYTES = "no image in its row"
# Images of so many rows are in memory at a time.
_ROWS = 64


def image_column(schema: pa.Schema) -> str | None:
    """Name the column that holds the images, or None; of several, the kind that open_clip would take."""
    kinds = {name.lower(): name for name in reversed(schema.names) if schema.names.count(name) == 1}
    found = (kinds[name] for name in _NAMES if name in kinds)
    return next((name for name in found if _holds_bytes(schema.field(name).type)), None)


def metadata_of(schema: pa.Schema) -> pa.Schema:
    """Leave out the images: what else a file has, which `samples/` passes on."""
    name = image_column(schema)
    return pa.schema([field for field in schema if field.name != name], schema.metadata)


def _holds_bytes(kind: Any) -> bool:
    if pa.types.is_struct(kind):
        place = kind.get_field_index(_BYTES)
        return place >= 0 and _holds_bytes(kind.field(place).type)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def recognises(path: Path) -> bool:
    """Tell whether the first Parquet file has such a column, and no tars lie beside it."""
    try:
        files = _files.parquets(path)
        if not files or (path.is_dir() and _files.holds(path, ".tar")):
            return False
    except (DataError, OSError):
        return False
    try:
        return image_column(parquet_schema(files[0])) is not None
    except DataError:
        return is_counted(files[0])  # damaged: reading it will say so, which is the better answer


def is_counted(file: Path) -> bool:
    """Tell whether img2dataset's counts lie beside a Parquet file: then it is no list of urls alone."""
    return file.with_name(f"{file.stem}_stats.json").is_file()


def shards(source: Source) -> list[Shard]:
    """List the Parquet files in numeric order.

    Raises:
        DataError: If a file is damaged.
    """
    root = Path(source.path).absolute()
    files = _files.parquets(root)
    counts = _files.side_by_side(parquet_rows, files)
    found = [
        Shard(number, file.stem, (str(file),), {}, True, rows)
        for number, (file, rows) in enumerate(zip(files, counts, strict=True))
    ]
    folders = [root] if root.is_dir() else []
    stats = [str(file) for folder in folders for file in _files.listing(folder, "_stats.json")]
    gaps = _files.short_of(files, "the Parquet files")
    return noted(found, (*gaps, *left_out(folders, [*map(str, files), *stats])))


def rows(source: Source, shard: Shard) -> ShardRows:
    """Read the metadata of one file, and look which rows hold an image."""
    return ImagesRead(shard, wants_images=False).rows()


def images(source: Source, shard: Shard) -> Iterator[tuple[str, bytes]]:
    """Read the images of a file from front to back."""
    return ImagesRead(shard, wants_images=True).images()


def image(source: Source, shard: Shard, keys: Collection[str]) -> dict[str, bytes]:
    """Read a few images by key; of rows that share a key, the first."""
    found: dict[str, bytes] = {}
    for key, content in images(source, shard):
        if key in keys:
            found.setdefault(key, content)
        if len(found) == len(set(keys)):
            break
    return found


def read(source: Source, shard: Shard, wants_images: bool) -> ShardRead:
    """Begin to read one file."""
    return ImagesRead(shard, wants_images)


class ImagesRead:
    """A file of images and metadata on its way in."""

    def __init__(self, shard: Shard, wants_images: bool) -> None:
        self._shard, self._wants_images = shard, wants_images
        self._file = MetadataFile(shard.files[0])

    def images(self) -> Iterator[tuple[str, bytes]]:
        """Read the images, some rows at a time.

        Raises:
            DataError: If the file is damaged, or has no column of images.
        """
        if not self._wants_images:
            return
        worked, keys = self._outcomes[0], self._listed["key"]
        faults: list[str | None] = []
        for column in self._columns():
            found = _faults_of(column)
            for place, fault in enumerate(found):
                row = len(faults) + place
                if worked[row] and fault is None:
                    yield keys[row].as_py(), column[place].as_py()
            faults += found
        self._faults = faults

    def rows(self) -> ShardRows:
        """List the rows that hold an image; those that failed, and those without one, as lost.

        Raises:
            DataError: As `images`.
        """
        worked, reasons = self._outcomes
        empty = worked & ~self._fit
        faults = [fault for fault, chosen in zip(self._faults, empty, strict=True) if chosen]
        failed, gone = (self._listed.filter(pa.array(one)) for one in (~worked, empty))
        lost = [
            columns.lost(failed, [columns.FAILED] * len(failed), reasons),
            columns.lost(gone, [columns.QUARANTINED] * len(gone), [str(fault) for fault in faults]),
        ]
        found = _sidecar.renumbered(self._listed.filter(pa.array(self._fit)))
        whole = ShardRows.whole(found, pa.concat_tables(lost))
        return replace(whole, notes=columns.taken_otherwise(self._raw.schema))

    def digests(self) -> dict[str, str]:
        """Hash the file."""
        return {self._file.path: self._file.digest()}

    @cached_property
    def _name(self) -> str:
        self._file.hold()
        schema = self._file.schema()
        name = image_column(schema)
        if name is None:
            raise DataError(
                f"'{self._file.path}' has no column of images, as the first file of its set has; its columns: "
                f"{', '.join(map(ascii, schema.names))}. Take the file away, or write it again with its images"
            )
        return name

    def _columns(self) -> Iterator[Any]:
        """Read the bytes of the images, some rows at a time."""
        for batch in self._file.batches([self._name], _ROWS):
            column = batch.column(0)
            yield pc.struct_field(column, _BYTES) if pa.types.is_struct(column.type) else column

    @cached_property
    def _raw(self) -> pa.Table:
        self._file.hold()
        _ = self._name
        schema = metadata_of(self._file.schema())
        if len(set(schema.names)) < len(schema):  # no name says which of them is meant
            return self._file.whole().drop_columns([self._name])
        if not len(schema):
            return pa.table({"row": pa.nulls(self._file.rows)}).select([])
        batches = list(self._file.batches(schema.names, 1 << 14))
        return pa.Table.from_batches(batches, batches[0].schema if batches else schema)

    @cached_property
    def _listed(self) -> pa.Table:
        """The rows with their metadata and uids."""
        named = columns.samples(self._raw, self._shard.name, self._file.path)
        return _sidecar.identified(named, self._shard)

    @cached_property
    def _outcomes(self) -> tuple[_sidecar.Flags, list[str]]:
        return _sidecar.read_outcomes(self._raw, self._file.path)

    @cached_property
    def _faults(self) -> list[str | None]:
        """Why the image of each row is not read at all; None where it is."""
        return [fault for column in self._columns() for fault in _faults_of(column)]

    @cached_property
    def _fit(self) -> _sidecar.Flags:
        """Which rows hold an image that is read."""
        sound = np.array([fault is None for fault in self._faults], dtype=bool)
        return np.asarray(self._outcomes[0] & sound, dtype=bool)


def _faults_of(column: Any) -> list[str | None]:
    sizes = pc.binary_length(column).to_pylist()
    return [
        _NO_BYTES if size is None else too_large(size) if size > MAX_IMAGE_BYTES else None for size in sizes
    ]
