"""What every reader gives: shards of a set, the rows of each, and its images where the format holds them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from indexes.errors import DataError
from pipeline.files.afar.endings import SHARDS
from pipeline.files.vectors import VectorFile
from pipeline.sets.plain_text import plain_text
from pipeline.sets.source import Source

UNREAD_KINDS = frozenset(
    {
        *(
            "heic",
            "heif",
            "jxl",
            "jp2",
            "j2k",
            "svg",
            "psd",
            "ico",
            "tga",
            "ppm",
            "pgm",
            "pbm",
            "exr",
            "hdr",
            "dds",
        ),
        *("raw", "dng", "cr2", "cr3", "nef", "arw", "orf", "raf", "rw2"),
    }
)
"""Images that nearfar does not decode: they are lost rows, not files that happen to lie there."""
# An image of more bytes than this is not held in memory; it goes to quarantine.
MAX_IMAGE_BYTES = 128 << 20


def too_large(size: int) -> str:
    """Word the reason for which an image of so many bytes goes to quarantine."""
    return f"image of {size:,} bytes, more than {MAX_IMAGE_BYTES:,}"


def no_images(source: Source, shard: Shard) -> Iterator[tuple[str, bytes]]:
    """Stand for `images` in a format that holds none."""
    return iter(())


def no_image(source: Source, shard: Shard, keys: Collection[str]) -> dict[str, bytes]:
    """Stand for `image` in a format that holds none."""
    return {}


@dataclass(frozen=True, slots=True)
class Shard:
    """Files that belong together.

    Attributes:
        number: 0, 1, 2, … in the order of the set.
        name: What messages call it.
        files: Every input file, absolute.
        vectors: By name, arrays with one row per row of the metadata: `image`, `text`, or a name of the producer's;
            empty where the format brings none.
        has_images: Whether `images` gives anything.
        rows: Number of samples where it is cheaply known: from a header, or as the producer states it.
        notes: What a reader of the report should know about the set's files; on the shard that is nearest.
    """

    number: int
    name: str
    files: tuple[str, ...]
    vectors: Mapping[str, VectorFile]
    has_images: bool
    rows: int | None
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Describe the shard in JSON."""
        return asdict(self)

    @staticmethod
    def from_json(described: dict[str, Any]) -> Shard:
        """Read what `to_json` gave."""
        vectors = {name: VectorFile(**file) for name, file in described["vectors"].items()}
        lists = {"files": tuple(described["files"]), "notes": tuple(described.get("notes", ()))}
        return Shard(**{**described, **lists, "vectors": vectors})


def check_names(shards: Sequence[Shard]) -> None:
    """Refuse shards whose names are no text: they would stand in records, tables and lists, which are UTF-8.

    Images of a folder may be called as they like: their keys are texts, with U+FFFD for what is none.

    Raises:
        DataError: If there is one.
    """
    for shard in shards:
        named = [shard.name, *(file for file in shard.files if Path(file).suffix.lower() in SHARDS)]
        odd = next((name for name in named if plain_text(name) != name), None)
        if odd is not None:
            raise DataError(
                f"the name of {odd!a} is not UTF-8; rename the file, with all that is called like it"
            )


def noted(shards: Sequence[Shard], notes: Iterable[str]) -> list[Shard]:
    """Put notes on a set's files to its first shard; a set without shards has nobody to tell."""
    return [
        replace(shard, notes=(*shard.notes, *notes)) if place == 0 else shard
        for place, shard in enumerate(shards)
    ]


@dataclass(frozen=True, slots=True)
class ShardRows:
    """What one shard holds.

    Attributes:
        pieces: Gives one row per readable sample, in source order, some rows at a time and at least one table: row,
            key, url, caption, label, `uid` (hex, only where the pool brings its own or the reader made it),
            then the pool's own columns.
        lost: Rows that did not make it, of `LOST_SCHEMA`.
        notes: What a reader of the report should know about this shard.
        odd: What was left out or taken another way, with how often; a set's counts are added up to one note each.
        apart: What tells rows that have neither url nor uid apart from those of other shards: the shard's name
            where keys may start again in every shard, None where a key names one sample of the set.
    """

    pieces: Callable[[], Iterator[pa.Table]]
    lost: pa.Table
    notes: tuple[str, ...] = ()
    odd: Mapping[str, int] = field(default_factory=dict)
    apart: str | None = None

    @staticmethod
    def whole(table: pa.Table, lost: pa.Table, odd: Mapping[str, int] | None = None) -> ShardRows:
        """Hold what was read as one table."""
        return ShardRows(lambda: iter([table]), lost, odd=dict(odd or {}))

    @property
    def table(self) -> pa.Table:
        """All the rows at once."""
        return pa.concat_tables(self.pieces())


class ShardRead(Protocol):
    """One shard on its way in: its bytes are read once, and hashed as they are read."""

    def images(self) -> Iterator[tuple[str, bytes]]:
        """Read key and file bytes of each image in the order of `rows`; nothing where no images were wanted."""
        ...

    def rows(self) -> ShardRows:
        """Read the metadata; asked when `images` has come to its end."""
        ...

    def digests(self) -> dict[str, str]:
        """List the sha256, by absolute path, of each file that was read whole; asked when the rows were read."""
        ...


class Reader(Protocol):
    """A module of this package; its functions are the reader."""

    def recognises(self, path: Path) -> bool:
        """Tell by a cheap look whether the files at `path` are of this format; never raises."""
        ...

    def shards(self, source: Source) -> list[Shard]:
        """List the shards of a set in order, having checked that their files pair up."""
        ...

    def rows(self, source: Source, shard: Shard) -> ShardRows:
        """Read the metadata of one shard."""
        ...

    def images(self, source: Source, shard: Shard) -> Iterator[tuple[str, bytes]]:
        """Read key and file bytes of each image, in the order of `rows`."""
        ...

    def image(self, source: Source, shard: Shard, keys: Collection[str]) -> dict[str, bytes]:
        """Read a few images by key."""
        ...

    def read(self, source: Source, shard: Shard, wants_images: bool) -> ShardRead:
        """Begin to read a shard, with its images or without; `plain_read` makes one from `rows` and `images`."""
        ...
