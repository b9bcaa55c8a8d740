"""Reading for formats of small files: a format's own functions give rows and images, a further look the hashes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

from pipeline.files.digests import sha256_of
from pipeline.readers._contract import Shard, ShardRead, ShardRows, no_images
from pipeline.sets.source import Source

Rows: TypeAlias = Callable[[Source, Shard], ShardRows]
Images: TypeAlias = Callable[[Source, Shard], Iterator[tuple[str, bytes]]]


def plain_read(rows: Rows, images: Images = no_images) -> Callable[[Source, Shard, bool], ShardRead]:
    """Make the `read` of a format from its `rows` and `images`.

    The files are read a second time for their hashes, which costs little where they hold text; a format of large
    files writes a `read` that hashes what it reads.
    """

    def read(source: Source, shard: Shard, wants_images: bool) -> ShardRead:
        return _PlainRead(source, shard, rows, images if wants_images else no_images)

    return read


class _PlainRead:
    """A shard on its way in."""

    def __init__(self, source: Source, shard: Shard, rows: Rows, images: Images) -> None:
        self._source, self._shard, self._rows, self._images = source, shard, rows, images

    def images(self) -> Iterator[tuple[str, bytes]]:
        """Read what the format's `images` reads."""
        return self._images(self._source, self._shard)

    def rows(self) -> ShardRows:
        """Read what the format's `rows` reads."""
        return self._rows(self._source, self._shard)

    def digests(self) -> dict[str, str]:
        """Hash every file but those of vectors, which the pass over the vectors hashes."""
        vectors = {vector.path for vector in self._shard.vectors.values()}
        return {file: sha256_of(Path(file)) for file in self._shard.files if file not in vectors}
