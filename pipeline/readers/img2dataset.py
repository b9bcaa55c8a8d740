"""img2dataset's webdataset output: `<shard>.tar`, its sidecar `<shard>.parquet`, and `<shard>_stats.json`.

The sidecar lists every row that was tried, in the order of completion; the tar holds the successes. Their
order is the tar's, their metadata the sidecar's, joined by key. What failed to download is counted as failed.
Tars alone will do: captions then come from each sample's own json or txt.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from indexes.errors import DataError, RunFailedError
from pipeline.readers import _files, _sidecar
from pipeline.readers._contract import Shard, ShardRead, ShardRows, noted
from pipeline.readers._held import MetadataFile
from pipeline.readers._leftover import left_out
from pipeline.readers._tars import tar_samples
from pipeline.readers._tars.fetched_tars import fetched_once
from pipeline.readers._tars.packed_tars import packed, refuse_packed
from pipeline.readers._tars.tar_members import content_of, opened
from pipeline.readers._tars.tar_partners import check_partners, not_there
from pipeline.readers._tars.tar_stream import HashedFile
from pipeline.sets.source import Source

_STATS_BYTES = 1 << 20


def recognises(path: Path) -> bool:
    """Tell whether there are tars, or the path is one; compressed ones too, which `shards` refuses with advice."""
    try:
        return _is_tar(path) or _files.holds(path, ".tar") or bool(packed(path))
    except DataError:
        return False


def shards(source: Source) -> list[Shard]:
    """List the tars in numeric order, or the one that the path is, each with its sidecar and counts.

    Raises:
        DataError: If some tars have a sidecar and others not, or a sidecar has no tar, or a tar is compressed.
    """
    root = Path(source.path).absolute()
    refuse_packed(root)
    if _is_tar(root):
        beside = [*_files.listing(root.parent, ".parquet"), *_files.listing(root.parent, "_stats.json")]
        named = (root.stem, f"{root.stem}_stats")
        return [_shard(0, [root, *(file for file in beside if file.stem in named)])]
    tars = sorted(_files.listing(root, ".tar"), key=lambda file: _files.natural(file.name))
    sidecars = {file.stem: file for file in _files.listing(root, ".parquet")}
    stats = {file.name[: -len("_stats.json")]: file for file in _files.listing(root, "_stats.json")}
    if sidecars:
        check_partners(root, {file.stem for file in tars}, set(sidecars))
    found = [
        _shard(number, [tar, *(beside[tar.stem] for beside in (sidecars, stats) if tar.stem in beside)])
        for number, tar in enumerate(tars)
    ]
    used = (str(file) for file in (*tars, *sidecars.values(), *stats.values()))
    gone = fetched_once(root, tars) or not_there(tars, stats)
    return noted(found, (*gone, *left_out([root], used)))


def rows(source: Source, shard: Shard) -> ShardRows:
    """Read the metadata of one shard, and hold tar, sidecar and counts against each other.

    Raises:
        DataError: If the tar is truncated or damaged, or the three do not belong together.
    """
    return TarRead(shard, wants_images=False).rows()


def images(source: Source, shard: Shard) -> Iterator[tuple[str, bytes]]:
    """Read the images of a shard from front to back."""
    with opened(shard.files[0]) as file:
        for sample in tar_samples.walk(file, shard.files[0], tar_samples.Wanted(images=True)):
            if sample.fault is None and sample.content is not None:
                yield sample.key, sample.content


def read(source: Source, shard: Shard, wants_images: bool) -> ShardRead:
    """Begin to read a shard; with its images, the tar is gone through once, from front to back."""
    return TarRead(shard, wants_images)


class TarRead:
    """A tar on its way in; without images, only its headers and the metadata are read, and it has no digest."""

    def __init__(self, shard: Shard, wants_images: bool) -> None:
        self._shard, self._wants_images = shard, wants_images
        self._samples: list[tar_samples.Sample] | None = None
        self._digests: dict[str, str] = {}
        self._stats: bytes | None = None
        self._left: Counter[str] = Counter()
        sidecar = _file(shard, ".parquet")
        self._sidecar = None if sidecar is None else MetadataFile(sidecar)

    def images(self) -> Iterator[tuple[str, bytes]]:
        """Read the images from front to back, hash the tar, and keep what `rows` needs.

        Raises:
            DataError: If the tar is truncated or damaged.
        """
        if not self._wants_images:
            return
        path = self._shard.files[0]
        found: list[tar_samples.Sample] = []
        with opened(path) as file:
            hashed = HashedFile(file)
            wanted = tar_samples.Wanted(images=True, texts=self._needs_texts)
            for sample in tar_samples.walk(hashed, path, wanted, self._left):
                content, sample.content = sample.content, None
                found.append(sample)
                if sample.fault is None and content is not None:
                    yield sample.key, content
            self._digests[path] = hashed.digest()
        self._samples = found

    def rows(self) -> ShardRows:
        """Put the metadata to the samples, and hold tar, sidecar and counts against each other.

        Raises:
            DataError: If the tar is truncated or damaged, or the three do not belong together.
            RunFailedError: If the images were wanted and not read to their end.
        """
        if self._samples is None:
            if self._wants_images:
                raise RunFailedError(
                    f"the rows of {self._shard.name} were asked for before its images were read"
                )
            wanted = tar_samples.Wanted(texts=self._needs_texts)
            self._samples = tar_samples.scan(self._shard.files[0], wanted, self._left)
        self._stats = _stats(self._shard)
        stated = _counts(self._shard, self._stats)
        if self._sidecar is None:
            found, got = _sidecar.from_members(self._samples, self._shard), {"successes": len(self._samples)}
        else:
            holder = f"the tar '{self._shard.files[0]}'"
            found, got = _sidecar.join(self._samples, self._sidecar.path, self._listed, self._shard, holder)
        compared = _compare_counts(self._shard, stated, got, self._sidecar is not None)
        return replace(found, notes=(*found.notes, *compared), odd={**found.odd, **self._left})

    def digests(self) -> dict[str, str]:
        """Hash the files beside the tar, and give the tar's own hash if all of it was read."""
        if self._sidecar is not None:
            self._digests[self._sidecar.path] = self._sidecar.digest()
        stats = _file(self._shard, "_stats.json")
        if stats is not None and self._stats is not None:
            self._digests[stats] = hashlib.sha256(self._stats).hexdigest()
        return dict(self._digests)

    @cached_property
    def _listed(self) -> pa.Table:
        """The sidecar's rows."""
        if self._sidecar is None:
            return pa.table({})
        self._sidecar.hold()
        return self._sidecar.whole()

    @property
    def _needs_texts(self) -> bool:
        return self._sidecar is None or not _sidecar.has_captions(self._listed)


def image(source: Source, shard: Shard, keys: Collection[str]) -> dict[str, bytes]:
    """Read a few images by key; of samples that share a key, the first."""
    found: dict[str, bytes] = {}
    with opened(shard.files[0]) as file:
        for sample in tar_samples.scan(shard.files[0]):
            if sample.key in keys and sample.key not in found and sample.fault is None and sample.image:
                found[sample.key] = content_of(file, sample.image, shard.files[0])
    return found


def _shard(number: int, files: list[Path]) -> Shard:
    shard = Shard(number, files[0].stem, tuple(map(str, files)), {}, True, None)
    counts = _counts(shard, _stats(shard))
    return Shard(number, shard.name, shard.files, {}, True, counts.get("successes"))


def _is_tar(path: Path) -> bool:
    return path.suffix.lower() == ".tar" and path.is_file()


def _file(shard: Shard, ending: str) -> str | None:
    return next((file for file in shard.files[1:] if file.lower().endswith(ending)), None)


def _stats(shard: Shard) -> bytes | None:
    """Read the file of the producer's counts; None where there is none."""
    path = _file(shard, "_stats.json")
    try:
        if path is None:
            return None
        with Path(path).open("rb", buffering=0) as file:
            return file.read(_STATS_BYTES)
    except OSError as error:
        raise _no_counts(path, error) from error


def _counts(shard: Shard, stats: bytes | None) -> dict[str, int]:
    """Parse the producer's counts; nothing where there are none."""
    if stats is None:
        return {}
    try:
        content = dict(json.loads(stats))
        return {name: int(content[name]) for name in ("count", "successes") if name in content}
    except (ValueError, TypeError, RecursionError) as error:
        raise _no_counts(_file(shard, "_stats.json"), error) from error


def _no_counts(path: str | None, error: Exception) -> DataError:
    return DataError(f"'{path}' is not img2dataset's counts ({error}). Fetch or write the shard again")


def _compare_counts(
    shard: Shard, stated: dict[str, int], got: dict[str, int], listed: bool
) -> tuple[str, ...]:
    """Hold the files against the producer's counts.

    img2dataset counts a sample, then leaves it out of tar and sidecar where writing it raised. So where those
    two agree, a higher count is worth a note; without a sidecar it is a tar that lost its end.
    """
    wrong = {name: value for name, value in got.items() if stated.get(name, value) != value}
    for name, value in wrong.items():
        if stated[name] < value or not listed:
            raise DataError(
                f"the counts of '{shard.files[0]}' do not agree: its _stats.json says {name} "
                f"{stated[name]:,}, the files hold {value:,}; one of them is truncated or of another "
                "download. Fetch or write the shard again"
            )
    return tuple(
        f"shard {shard.name}: its _stats.json says {name} {stated[name]:,}, tar and sidecar agree on "
        f"{value:,}; img2dataset leaves out samples whose writing failed"
        for name, value in wrong.items()
    )
