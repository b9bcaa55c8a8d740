"""One shard after the other into the rows of a part, with embeddings where its images are to be embedded."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from indexes.errors import DataError
from pipeline import layout
from pipeline.commit import Attempt
from pipeline.embedding.batches import Embedded
from pipeline.embedding.encoder import Encoder, EncoderSpec, load_encoder
from pipeline.embedding.image_batches import embed_stream
from pipeline.execution.work import Place
from pipeline.files.storage import output_errors
from pipeline.readers import Shard, reader_of
from pipeline.sets.samples import LOST_SCHEMA, OWN_NAMES
from pipeline.sets.source import Source
from pipeline.sets.uids import resolve
from pipeline.sets.unify import Assembly


@dataclass(frozen=True, slots=True)
class Reading:
    """What is read: the set, and the number of the part."""

    name: str
    source: Source
    part: int
    place: Place


@dataclass(slots=True)
class Found:
    """What the shards of a part came to; `shards` has the name of each, and the part's row at which it begins."""

    samples: Assembly
    row: int = 0
    lost: list[pa.Table] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    odd: Counter[str] = field(default_factory=Counter)
    shards: list[tuple[str, int]] = field(default_factory=list)
    vectors: list[NDArray[np.float16]] = field(default_factory=list)
    metadata: list[pa.Table] = field(default_factory=list)
    captions: int = 0

    def add(self, table: pa.Table, part: int) -> None:
        """Take the next rows, with all columns of `samples/` but `part`."""
        table = table.append_column("part", pa.array(np.full(len(table), part, dtype=np.int32)))
        own = [name for name in table.column_names if name not in OWN_NAMES]
        self.captions += len(table) - table.column("caption").null_count
        self.samples.add(table.select([*OWN_NAMES, *own]))


def read_shard(of: Reading, shard: Shard, encoder: Encoder | None, found: Found, into: Attempt) -> None:
    """Read one shard; its images are embedded where there is an encoder.

    Raises:
        DataError: If the shard is damaged, or changes while it is read.
    """
    where = f"{of.name} shard {shard.name}"
    reading = reader_of(str(of.source.format)).read(of.source, shard, encoder is not None)
    found.shards.append((shard.name, found.row))
    hashes: list[str] = []
    results: list[Embedded] = []
    if encoder is not None:
        results = embed_images(encoder, _hashed(reading.images(), hashes), of.place)
    listed = reading.rows()
    found.notes += [note for note in listed.notes if note not in found.notes]
    found.odd.update(listed.odd)
    found.lost.append(listed.lost)
    if encoder is None:
        for piece in listed.pieces():
            table = _shifted(resolve(piece, where, listed.apart), found.row)
            found.add(table.append_column("image_sha256", pa.nulls(len(table), pa.string())), of.part)
        found.row += next(iter(shard.vectors.values())).rows if shard.vectors else _last_row(found)
    else:
        _keep_embedded(of, shard, resolve(listed.table, where, listed.apart), hashes, results, found)
    into.noted |= reading.digests()


def _last_row(found: Found) -> int:
    """Rows of a shard without vectors are numbered through; the next begins behind the last."""
    return found.samples.rows - found.row


def _shifted(table: pa.Table, by: int) -> pa.Table:
    """Number rows through the shards of a part."""
    place = table.column_names.index("row")
    return table.set_column(place, "row", pa.array(table.column("row").to_numpy() + by)) if by else table


def _hashed(images: Iterator[tuple[str, bytes]], hashes: list[str]) -> Iterator[tuple[str, bytes]]:
    for key, image in images:
        hashes.append(hashlib.sha256(image).hexdigest())
        yield key, image


def _keep_embedded(
    of: Reading,
    shard: Shard,
    table: pa.Table,
    hashes: list[str],
    results: list[Embedded],
    found: Found,
) -> None:
    """Keep the rows that have a vector; list the others as lost."""
    keys = table.column("key").to_pylist()
    if [result.key for result in results] != keys:
        raise DataError(
            f"{shard.name}: the images changed while they were read (now {len(results)}, listed {len(keys)}); "
            "let the download finish, then run again"
        )
    good = np.array([result.vector is not None for result in results], dtype=bool)
    table = table.append_column("image_sha256", pa.array(hashes, pa.string()))
    found.lost.append(_rejected(table.filter(pa.array(~good)), [r for r in results if r.vector is None]))
    kept = table.filter(pa.array(good))
    place = kept.column_names.index("row")
    numbers = np.arange(found.row, found.row + len(kept), dtype=np.int64)
    kept = kept.set_column(place, "row", pa.array(numbers))
    found.row += len(kept)
    found.add(kept, of.part)
    found.vectors += [r.vector[None, :] for r in results if r.vector is not None]
    columns = {"image_path": kept.column("key")} | {n: kept.column(n) for n in ("caption", "url", "uid")}
    found.metadata.append(pa.table(columns))


def embed_images(encoder: Encoder, images: Iterator[tuple[str, bytes]], place: Place) -> list[Embedded]:
    """Embed `(key, file bytes)` pairs, in order."""
    return list(embed_stream(encoder, images, threads=place.threads))


def _rejected(table: pa.Table, results: list[Embedded]) -> pa.Table:
    columns = {name: table.column(name) for name in ("key", "uid", "url", "caption")}
    columns["outcome"] = pa.array(["quarantined"] * len(table), pa.string())
    columns["reason"] = pa.array([result.reason for result in results], pa.string())
    return pa.table(columns, schema=LOST_SCHEMA)


def write_embeddings(
    encoder: str, name: str, part: int, kind: str, vectors: NDArray[np.float16], into: Attempt
) -> None:
    """Write a part's embeddings in clip-retrieval's layout."""
    relative = layout.embedding(name, encoder, kind, part)
    path = into.file(relative)
    with output_errors(path, vectors.nbytes):
        np.save(path, vectors)
    into.add(relative, rows=len(vectors))


def crop_of(source: Source) -> int:
    """Say how much of the border of a set's images is cut off before they are embedded, in pixels."""
    return int(source.options.get("crop", 0))


_ENCODERS: dict[tuple[Any, ...], Encoder] = {}


def cached_encoder(spec: EncoderSpec, device: str) -> Encoder:
    """Load an encoder once per process."""
    key = (spec, device)
    if key not in _ENCODERS:
        _ENCODERS[key] = load_encoder(spec, device)
    return _ENCODERS[key]
