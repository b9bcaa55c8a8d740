"""A folder of images, one folder per class: ImageNet and its relatives.

A sample's key is its path inside the folder, its label the first folder of that path. Images of kinds that nearfar
does not decode are lost rows; files that do not end like an image are left out and counted in a note, and so are
hidden files.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter, deque
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from indexes.errors import DataError
from pipeline.readers._contract import (
    IMAGE_SUFFIXES,
    MAX_IMAGE_BYTES,
    UNREAD_KINDS,
    Shard,
    ShardRead,
    ShardRows,
    noted,
    too_large,
)
from pipeline.sets import columns
from pipeline.sets.source import Source

# Part of the format: another number would cut the same folder into other shards.
IMAGES_PER_SHARD = 10_000
# Folders that `recognises` lists before it gives up.
_CHEAP_LOOK = 256
_KINDS_TOLD = 8


def recognises(path: Path) -> bool:
    """Tell whether an image lies in the folder or in one of the folders nearest to its top."""
    waiting, looked = deque([path]), 0
    while waiting and looked < _CHEAP_LOOK:
        looked += 1
        try:
            entries = _visible(waiting.popleft())
        except DataError:
            continue
        if any(_looks_like_image(entry.name) and entry.is_file() for entry in entries):
            return True
        folders = sorted(entry.path for entry in entries if entry.is_dir(follow_symlinks=False))
        waiting.extend(Path(folder) for folder in folders)
    return False


def shards(source: Source) -> list[Shard]:
    """List the images by key and cut the list into shards.

    Raises:
        DataError: If the folder cannot be listed, or a symbolic link leaves it, leads nowhere or in a circle.
    """
    root = Path(source.path).absolute()
    real = os.path.realpath(root)
    others: Counter[str] = Counter()
    files = sorted(_walk(str(root), real, (real,), others), key=lambda file: _key(root, file))
    parts = [
        tuple(files[start : start + IMAGES_PER_SHARD]) for start in range(0, len(files), IMAGES_PER_SHARD)
    ]
    found = [Shard(number, _name(root, part), part, {}, True, len(part)) for number, part in enumerate(parts)]
    return noted(found, _left_out(others))


def rows(source: Source, shard: Shard) -> ShardRows:
    """Name the images of a shard."""
    root = Path(source.path).absolute()
    faults = [_fault(file) for file in shard.files]
    table = columns.samples(_named(root, shard.files), shard.name, source.path)
    fits = pa.array([fault is None for fault in faults], pa.bool_())
    kept = table.filter(fits)
    kept = kept.set_column(0, "row", pa.array(np.arange(len(kept), dtype=np.int64)))
    reasons = [fault for fault in faults if fault is not None]
    rejected = table.filter(pc.invert(fits))
    return ShardRows.whole(kept, columns.lost(rejected, [columns.QUARANTINED] * len(rejected), reasons))


def images(source: Source, shard: Shard) -> Iterator[tuple[str, bytes]]:
    """Read the images of a shard one after the other."""
    root = Path(source.path).absolute()
    for file in shard.files:
        if _fault(file) is None:
            yield _key(root, file), _bytes(file)


def read(source: Source, shard: Shard, wants_images: bool) -> ShardRead:
    """Begin to read a shard, each image once."""
    return _FolderRead(source, shard, wants_images)


class _FolderRead:
    """A shard of image files on its way in."""

    def __init__(self, source: Source, shard: Shard, wants_images: bool) -> None:
        self._source, self._shard, self._wants_images = source, shard, wants_images
        self._digests: dict[str, str] = {}

    def images(self) -> Iterator[tuple[str, bytes]]:
        """Read and hash the images one after the other."""
        root = Path(self._source.path).absolute()
        for file in self._shard.files if self._wants_images else ():
            if _fault(file) is None:
                content = _bytes(file)
                self._digests[file] = hashlib.sha256(content).hexdigest()
                yield _key(root, file), content

    def rows(self) -> ShardRows:
        """Name the images."""
        return rows(self._source, self._shard)

    def digests(self) -> dict[str, str]:
        """List the hashes of the images that were read."""
        return dict(self._digests)


def image(source: Source, shard: Shard, keys: Collection[str]) -> dict[str, bytes]:
    """Read a few images by key."""
    root, wanted = Path(source.path).absolute(), set(keys)
    return {_key(root, file): _bytes(file) for file in shard.files if _key(root, file) in wanted}


def _named(root: Path, files: tuple[str, ...]) -> pa.Table:
    keys = [_key(root, file) for file in files]
    labels = [key.split("/", 1)[0] if "/" in key else None for key in keys]
    return pa.table({"key": pa.array(keys, pa.string()), "label": pa.array(labels, pa.string())})


def _key(root: Path, file: str) -> str:
    inside = file[len(str(root).rstrip(os.sep)) + 1 :]
    return columns.plain_text(inside.replace(os.sep, "/"))


def _name(root: Path, files: tuple[str, ...]) -> str:
    return f"{_key(root, files[0])} … {_key(root, files[-1])}"


def _walk(folder: str, root: str, above: tuple[str, ...], others: Counter[str]) -> Iterator[str]:
    """List the images under a folder and count the other files by kind.

    `above` are the real paths of it and the folders that lead to it.
    """
    for entry in _visible(Path(folder)):
        is_folder = entry.is_dir()
        kind = Path(entry.name).suffix.lower()
        if not is_folder and kind not in IMAGE_SUFFIXES and kind[1:] not in UNREAD_KINDS:
            others[kind or "no suffix"] += 1
            continue
        if entry.is_symlink():
            _check_link(entry.path, root, above)
        if is_folder:
            yield from _walk(entry.path, root, (*above, os.path.realpath(entry.path)), others)
        elif entry.is_file():
            yield entry.path


def _check_link(link: str, root: str, above: tuple[str, ...]) -> None:
    target = os.path.realpath(link)
    if not Path(target).exists():
        fault = "leads nowhere"
    elif not Path(target).is_relative_to(root):
        fault = f"leaves the folder (to '{target}')"
    elif target in above:
        fault = "leads round in a circle"
    else:
        return
    raise DataError(
        f"the symbolic link '{link}' {fault}; nearfar reads only what lies inside the set. Remove the link, "
        "or put the files themselves there"
    )


def _visible(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise DataError(f"cannot list the folder '{folder}': {error.strerror}") from error


def _looks_like_image(name: str) -> bool:
    return Path(name).suffix.lower() in IMAGE_SUFFIXES


def _left_out(others: Counter[str]) -> tuple[str, ...]:
    if not others:
        return ()
    kinds = ", ".join(
        f"{count:,} {columns.plain_text(kind)}" for kind, count in others.most_common(_KINDS_TOLD)
    )
    more = f" and {len(others) - _KINDS_TOLD:,} kinds more" if len(others) > _KINDS_TOLD else ""
    return (f"files that do not end like an image are left out: {kinds}{more}",)


def _fault(file: str) -> str | None:
    """Say why an image is not read at all, by its name and size."""
    kind, size = Path(file).suffix.lower(), _size(file)
    if kind not in IMAGE_SUFFIXES:
        return f"nearfar decodes no {kind}; convert it to .png or .jpg"
    return too_large(size) if size > MAX_IMAGE_BYTES else None


def _size(file: str) -> int:
    try:
        return Path(file).stat().st_size
    except OSError as error:
        raise _unreadable(file, error) from error


def _bytes(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise _unreadable(file, error) from error


def _unreadable(file: str, error: OSError) -> DataError:
    return DataError(
        f"cannot read the image '{file}': {error.strerror}. Let nothing change the set while it is read"
    )
