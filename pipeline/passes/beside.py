"""Pictures of a set that brings vectors: files in a folder, or img2dataset's tars, paired with the samples.

Metadata is written by strangers and a report is passed on, so nothing outside the place that the user named is opened:
no absolute path that leads elsewhere, no `..`, no link out of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from indexes.errors import DataError
from pipeline.files.afar.endings import IMAGE_KINDS, IMAGE_SUFFIXES
from pipeline.files.afar.far_reading import open_near_or_far
from pipeline.files.afar.stand_ins import is_there, length_of, stand_in
from pipeline.files.parquet import parquet_schema, read_parquet
from pipeline.readers import Shard, reader_of
from pipeline.readers._contract import MAX_IMAGE_BYTES
from pipeline.report.request import WantedPicture
from pipeline.sets.source import Source
from pipeline.stores.held_files import held

TARS = "img2dataset"
# img2dataset names a shard by the first digits of its keys, in tars and in folders of files alike.
_SHARD_DIGITS = 5
# What a sidecar may tell a sample by, beside the key of its members.
_TELLING = ("uid", "url")


def find_pictures(root: Path, wanted: Mapping[str, WantedPicture]) -> dict[str, bytes]:
    """Read pictures from a folder, or from the tars in it.

    A file is a sample's if its place in the folder is what `image_path` or the key says, with or without an ending. A
    member of a tar is, if the sample has its key, or the tar's sidecar gives it the sample's uid or url.

    Args:
        root: The folder, or one tar.
        wanted: The samples by key.

    Returns:
        What was found, by key; nothing of what cannot be read.
    """
    found = dict(_files(root, wanted)) if root.is_dir() else {}
    left = {key: one for key, one in wanted.items() if key not in found}
    return found | (_members(root, left) if left else {})


def _files(root: Path, wanted: Mapping[str, WantedPicture]) -> Iterator[tuple[str, bytes]]:
    inside = root.resolve()
    for key, one in wanted.items():
        content = next(filter(None, (_content(inside, place) for place in _places(key, one.path))), None)
        if content:
            yield key, content


def _places(key: str, path: str) -> Iterator[str]:
    """List where a sample's picture may lie, the likeliest first."""
    stems = [stem for stem in dict.fromkeys((path, key)) if stem]
    yield from stems
    for stem in [*stems, f"{key[:_SHARD_DIGITS]}/{key}"]:
        yield from (f"{stem}.{kind}" for kind in IMAGE_KINDS)


def _content(inside: Path, place: str) -> bytes | None:
    # Most places are guesses where nothing lies, and one look is a tenth of what it takes to follow every link.
    if not os.path.lexists(os.path.join(inside, place)):  # noqa: PTH118
        return None
    try:
        named = inside / place
        # What stands for an image on a store is no link to follow; the folders on the way to it may be.
        file = named.resolve() if stand_in(named) is None else named.parent.resolve() / named.name
        fits = file.suffix.lower() in IMAGE_SUFFIXES and file.is_relative_to(inside) and is_there(file)
        if not fits or length_of(file) > MAX_IMAGE_BYTES:
            return None
        with open_near_or_far(file) as opened:
            return opened.read()
    except (OSError, ValueError, RuntimeError, DataError):  # a name that no file can have, a link in a circle
        return None


def _members(root: Path, wanted: Mapping[str, WantedPicture]) -> dict[str, bytes]:
    reader, source = reader_of(TARS), Source(path=str(root), format=TARS)
    found: dict[str, bytes] = {}
    if not reader.recognises(root):
        return found
    try:
        shards = reader.shards(source)
    except DataError:
        return found
    left = dict(wanted)
    for shard in _likeliest(shards, left):
        if not left:
            break
        try:
            names = _names(shard, left)
            with held(shard.files if names else ()):
                images = reader.image(source, shard, set(names)) if names else {}
        except DataError:  # a damaged tar costs its own pictures, not the report
            continue
        for name, content in images.items():
            found[names[name]] = content
            left.pop(names[name], None)
    return found


def _likeliest(shards: Sequence[Shard], wanted: Mapping[str, WantedPicture]) -> list[Shard]:
    """Take the shards that keys name; all of them, those first, where a sidecar may tell of others."""
    named = [shard for shard in shards if any(key.startswith(shard.name) for key in wanted)]
    first = {shard.name for shard in named}
    others = [shard for shard in shards if shard.name not in first and (not named or _sidecar(shard))]
    return [*named, *others]


def _sidecar(shard: Shard) -> str | None:
    return next((file for file in shard.files[1:] if file.endswith(".parquet")), None)


def _names(shard: Shard, wanted: Mapping[str, WantedPicture]) -> dict[str, str]:
    """Say which members of a tar are of which samples: its key for each, by the name in the tar."""
    names = {key: key for key in wanted if key.startswith(shard.name)}
    sidecar = _sidecar(shard)
    if sidecar is None:
        return {key: key for key in wanted}
    has = parquet_schema(sidecar).names
    columns = [name for name in _TELLING if name in has]
    if "key" not in has or not columns:
        return names
    table = read_parquet(Path(sidecar), columns=["key", *columns])
    for column in columns:
        by = {text: key for key, one in wanted.items() if (text := str(getattr(one, column)))}
        values = table.column(column).cast(pa.string())
        chosen = (
            table.filter(pc.is_in(values, value_set=pa.array(list(by), pa.string())))
            if by
            else table.slice(0, 0)
        )
        told = zip(chosen.column("key").to_pylist(), chosen.column(column).to_pylist(), strict=True)
        names |= {str(name): by[str(text)] for name, text in told}
    return names
