"""A folder of img2dataset's `files` output: its images with the Parquet of its name, which lists all that was tried.

It is read as the tar of the same download is: keys, uids, columns and lost rows are the same. The Parquet is the
first of the shard's files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from functools import cached_property
from pathlib import Path

from pipeline.files.afar.stand_ins import is_there
from pipeline.files.parquet import parquet_schema
from pipeline.readers import _sidecar
from pipeline.readers._contract import Shard, ShardRows
from pipeline.readers._folders.folder_walk import TEXT_SUFFIXES, without_suffix
from pipeline.readers._folders.image_files import bytes_of, each_bytes, fault_of
from pipeline.readers._held import MetadataFile
from pipeline.readers._tars.tar_samples import Sample
from pipeline.sets import columns

_SUFFIX = ".parquet"


def lists_downloads(folder: Path) -> Path | None:
    """Find the Parquet that lists what was downloaded into a folder: beside it, of its name, with keys.

    Raises:
        DataError: If there is a file of such a name that is damaged.
    """
    listed = folder.with_name(f"{folder.name}{_SUFFIX}")
    if not is_there(listed) or columns.find(parquet_schema(listed).names, columns.KEY_NAMES) is None:
        return None
    return listed


def is_download(shard: Shard) -> bool:
    """Tell whether a shard is such a folder."""
    return shard.files[0].endswith(_SUFFIX)


def folder_of(shard: Shard) -> str:
    """Name the folder of such a shard, with a slash behind it."""
    return shard.files[0].removesuffix(_SUFFIX) + "/"


def download_key(file: str, folder: str) -> str:
    """Name the sample that a file of such a folder is of."""
    return columns.plain_text(without_suffix(file).removeprefix(folder))


class DownloadRead:
    """Such a folder on its way in; the images are wanted or not."""

    def __init__(self, shard: Shard, wants_images: bool) -> None:
        self._shard, self._wants_images = shard, wants_images
        self._listed = MetadataFile(shard.files[0])
        self._root = folder_of(shard)
        self._digests: dict[str, str] = {}

    def images(self) -> Iterator[tuple[str, bytes]]:
        """Read and hash the images one after the other."""
        wanted = self._images if self._wants_images else []
        for file, content in each_bytes(file for file in wanted if fault_of(file) is None):
            yield self._key(file), self._hashed(file, content)

    def image(self, keys: Collection[str]) -> dict[str, bytes]:
        """Read a few images by key; of files that share a key, the first."""
        found: dict[str, bytes] = {}
        for file in self._images:
            key = self._key(file)
            if key in keys and key not in found and fault_of(file) is None:
                found[key] = bytes_of(file)
        return found

    def rows(self) -> ShardRows:
        """Put the metadata to the images, and what failed to the lost rows.

        Raises:
            DataError: If the folder lacks what the Parquet calls a success, or holds what it does not list.
        """
        self._listed.hold()
        raw = self._listed.whole()
        samples = [Sample(self._key(file), fault=fault_of(file)) for file in self._images]
        if not _sidecar.has_captions(raw):
            for sample in samples:
                sample.texts = self._texts.get(sample.key, {})
        holder = f"the folder '{self._root[:-1]}'"
        return _sidecar.join(samples, self._listed.path, raw, self._shard, holder)[0]

    def digests(self) -> dict[str, str]:
        """List the hashes of the Parquet and of the images and texts that were read."""
        return self._digests | {self._listed.path: self._listed.digest()}

    @property
    def _images(self) -> list[str]:
        return [file for file in self._shard.files[1:] if not file.lower().endswith(TEXT_SUFFIXES)]

    @cached_property
    def _texts(self) -> dict[str, dict[str, bytes]]:
        """Read what lies beside the images, by key and suffix."""
        texts: dict[str, dict[str, bytes]] = {}
        for file in self._shard.files[1:]:
            if file.lower().endswith(TEXT_SUFFIXES):
                texts.setdefault(self._key(file), {})[Path(file).suffix[1:].lower()] = self._hashed(
                    file, bytes_of(file)
                )
        return texts

    def _hashed(self, file: str, content: bytes) -> bytes:
        self._digests[file] = hashlib.sha256(content).hexdigest()
        return content

    def _key(self, file: str) -> str:
        return download_key(file, self._root)
