"""A folder of images, one folder per class: ImageNet and its relatives.

A sample's key is its path inside the folder, its label the first folder of that path. A .txt or .json of an image's
name says its caption and url. Of img2dataset's `files` output, a folder and the Parquet of its name are one shard.
Images of kinds that nearfar does not decode are lost rows; other files are left out and counted in a note, hidden ones
and the droppings of systems too.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter, deque
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from indexes.errors import DataError
from pipeline.files.afar.endings import IMAGE_SUFFIXES
from pipeline.files.afar.stand_ins import is_there
from pipeline.readers._contract import Shard, ShardRead, ShardRows, noted
from pipeline.readers._files import natural
from pipeline.readers._folders.class_mask import masked
from pipeline.readers._folders.download import DownloadRead, is_download, lists_downloads
from pipeline.readers._folders.folder_walk import (
    TOLD_SUFFIXES,
    Walk,
    left_out,
    names_of,
    visible,
    walk,
)
from pipeline.readers._folders.image_files import bytes_of, each_bytes, fault_of, key_of
from pipeline.readers._folders.telling import described_by, tables_of, texts_of
from pipeline.sets import columns
from pipeline.sets.source import NameList, NameText, ReaderOptions, Source

# Part of the format: another number would cut the same folder into other shards.
IMAGES_PER_SHARD = 10_000
# Folders that `recognises` lists before it gives up.
_CHEAP_LOOK = 256


class Options(ReaderOptions):
    """How links are taken, which classes, and how much of each image."""

    paths = ("class_file",)

    follow_links: bool = Field(
        default=False, description="Whether symbolic links may lead out of the folder, as link farms do."
    )
    crop: int = Field(
        default=0,
        ge=0,
        le=64,
        description="Pixels that are cut off on every side before an image is embedded.",
    )
    classes: NameList | None = Field(default=None, description="Class folders to take; all if omitted.")
    class_file: NameText | None = Field(
        default=None, description="JSON file that lists them, or ObjectNet's objectnet_to_imagenet_1k.json."
    )


def recognises(path: Path) -> bool:
    """Tell whether an image lies in the folder or in one of the folders nearest to its top."""
    waiting, looked = deque([path]), 0
    while waiting and looked < _CHEAP_LOOK:
        looked += 1
        try:
            entries = visible(waiting.popleft())
        except DataError:
            continue
        if any(_looks_like_image(entry.name) and is_there(entry.path) for entry in entries):
            return True
        folders = sorted(entry.path for entry in entries if entry.is_dir())
        waiting.extend(Path(folder) for folder in folders)
    return False


def shards(source: Source) -> list[Shard]:
    """List the images by key and cut the list into shards.

    Raises:
        DataError: If the folder cannot be listed, or a symbolic link leaves it, leads nowhere or in a circle.
    """
    root = Path(source.path).absolute()
    real = os.path.realpath(root)
    options = Options(**source.options)
    seen = Walk(real, options.follow_links)
    every = sorted(walk(str(root), seen, (real,)), key=lambda file: key_of(root, file))
    files, left = masked(root, every, options.class_file or options.classes)
    downloads, others = _downloads(root, files, seen)
    parts = [others[start : start + IMAGES_PER_SHARD] for start in range(0, len(others), IMAGES_PER_SHARD)]
    pieces: list[tuple[tuple[str, ...], str, list[str]]] = [((), _name(root, part), part) for part in parts]
    pieces += [((str(listed),), listed.stem, part) for listed, part in downloads.items()]
    names = {name for file in every for name in names_of(file)}
    texts = {file: seen.beside(file, names) for _, _, part in pieces for file in part}
    tables, told_notes = tables_of(root, others, seen)
    found = []
    for number, (listed, name, part) in enumerate(pieces):
        beside = [text for file in part for text in texts[file]]
        told = () if listed else (table for table, of in tables.items() if any(map(of, part)))
        found.append(Shard(number, name, (*listed, *part, *beside, *told), {}, True, len(part)))
    return noted(found, (*left, *told_notes, *left_out(seen.others)))


def _downloads(root: Path, files: list[str], seen: Walk) -> tuple[dict[Path, list[str]], list[str]]:
    """Tell the images of each folder that a Parquet lists, by that Parquet, from all others."""
    folders = sorted(
        (entry for entry in visible(root) if entry.is_dir()), key=lambda entry: natural(entry.name)
    )
    by_folder: dict[str, list[str]] = {}
    for file in files:
        by_folder.setdefault(key_of(root, file).partition("/")[0], []).append(file)
    found: dict[Path, list[str]] = {}
    for entry in folders:
        listed = lists_downloads(Path(entry.path))
        if listed is not None:
            found[listed] = by_folder.pop(columns.plain_text(entry.name), [])
            seen.others[listed.suffix] -= 1
    return found, [file for part in by_folder.values() for file in part]


def rows(source: Source, shard: Shard) -> ShardRows:
    """Name the images of a shard, with what the texts beside them or the Parquet of their folder say."""
    if is_download(shard):
        return DownloadRead(shard, wants_images=False).rows()
    return _rows(source, shard, {})


def _rows(source: Source, shard: Shard, digests: dict[str, str]) -> ShardRows:
    """List the images; `digests` takes the sha256 of each text that is read."""
    root, files, odd = Path(source.path).absolute(), images_of(shard), Counter[str]()
    faults = [fault_of(file) for file in files]
    table = columns.samples(_named(root, shard, odd, digests), shard.name, source.path)
    fits = pa.array([fault is None for fault in faults], pa.bool_())
    kept = table.filter(fits)
    kept = kept.set_column(0, "row", pa.array(np.arange(len(kept), dtype=np.int64)))
    reasons = [fault for fault in faults if fault is not None]
    rejected = table.filter(pc.invert(fits))
    lost = columns.lost(rejected, [columns.QUARANTINED] * len(rejected), reasons)
    return ShardRows.whole(kept, lost, odd)


def images(source: Source, shard: Shard) -> Iterator[tuple[str, bytes]]:
    """Read the images of a shard one after the other."""
    if is_download(shard):
        yield from DownloadRead(shard, wants_images=True).images()
        return
    root = Path(source.path).absolute()
    for file, content in each_bytes(_sound(shard)):
        yield key_of(root, file), content


def read(source: Source, shard: Shard, wants_images: bool) -> ShardRead:
    """Begin to read a shard, each image once."""
    if is_download(shard):
        return DownloadRead(shard, wants_images)
    return _FolderRead(source, shard, wants_images)


def images_of(shard: Shard) -> list[str]:
    """List the image files of a shard."""
    return [file for file in shard.files if not file.lower().endswith(TOLD_SUFFIXES)]


def _sound(shard: Shard) -> list[str]:
    return [file for file in images_of(shard) if fault_of(file) is None]


class _FolderRead:
    """A shard of image files on its way in."""

    def __init__(self, source: Source, shard: Shard, wants_images: bool) -> None:
        self._source, self._shard, self._wants_images = source, shard, wants_images
        self._digests: dict[str, str] = {}

    def images(self) -> Iterator[tuple[str, bytes]]:
        """Read and hash the images one after the other."""
        root = Path(self._source.path).absolute()
        for file, content in each_bytes(_sound(self._shard) if self._wants_images else ()):
            self._digests[file] = hashlib.sha256(content).hexdigest()
            yield key_of(root, file), content

    def rows(self) -> ShardRows:
        """Name the images."""
        return _rows(self._source, self._shard, self._digests)

    def digests(self) -> dict[str, str]:
        """List the hashes of the images and texts that were read."""
        return dict(self._digests)


def image(source: Source, shard: Shard, keys: Collection[str]) -> dict[str, bytes]:
    """Read a few images by key."""
    if is_download(shard):
        return DownloadRead(shard, wants_images=True).image(keys)
    root, wanted = Path(source.path).absolute(), set(keys)
    return {key_of(root, file): bytes_of(file) for file in images_of(shard) if key_of(root, file) in wanted}


def listed(source: Source, shard: Shard) -> list[tuple[str, str | None]] | None:
    """Name the images of a shard with their labels before any is read; None where other files tell of them."""
    files, root = images_of(shard), Path(source.path).absolute()
    if is_download(shard) or len(files) < len(shard.files):
        return None
    return [(key, _folder_of(key)) for key in (key_of(root, file) for file in files)]


def _folder_of(key: str) -> str | None:
    return key.split("/", 1)[0] if "/" in key else None


def _named(root: Path, shard: Shard, odd: Counter[str], digests: dict[str, str]) -> pa.Table:
    files = images_of(shard)
    keys = [key_of(root, file) for file in files]
    labels = [_folder_of(key) for key in keys]
    named = {"key": keys, "label": labels}
    if len(files) < len(shard.files):
        texts, tables = texts_of(root, shard.files[: len(files)], shard.files[len(files) :], digests)
        told = [described_by(_beside(texts, file), tables, key_of(root, file), odd) for file in files]
        named |= {role: [one[role] for one in told] for role in ("url", "caption")}
        named["label"] = [one["label"] or label for one, label in zip(told, labels, strict=True)]
    return pa.table({name: pa.array(values, pa.string()) for name, values in named.items()})


def _beside(texts: dict[str, dict[str, bytes]], image: str) -> dict[str, bytes]:
    """Put together the texts of an image; `a.txt` goes before `a.jpg.txt`."""
    plain, whole = (texts.get(name, {}) for name in names_of(image))
    return whole | plain


def metadata_files(shard: Shard) -> tuple[str, ...]:
    """List the Parquet files whose columns `samples/` passes on: those of downloads, not Hugging Face's tables."""
    return shard.files[:1] if is_download(shard) else ()


def _name(root: Path, files: Sequence[str]) -> str:
    return f"{key_of(root, files[0])} … {key_of(root, files[-1])}"


def _looks_like_image(name: str) -> bool:
    return Path(name).suffix.lower() in IMAGE_SUFFIXES
