"""img2dataset's webdataset output: `<shard>.tar`, its sidecar `<shard>.parquet`, and `<shard>_stats.json`.

The sidecar lists every row that was tried, in the order of completion; the tar holds the successes. Their
order is the tar's, their metadata the sidecar's, joined by key. What failed to download is counted as failed.
Tars alone will do: captions then come from each sample's own json or txt.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

from indexes.errors import DataError
from pipeline.readers import _files, _sidecar, _tar
from pipeline.readers._contract import Shard, ShardRows
from pipeline.sets.source import Source

_NAMED = 5
_STATS_BYTES = 1 << 20


def recognises(path: Path) -> bool:
    """Tell whether there are tars."""
    return _files.holds(path, ".tar")


def shards(source: Source) -> list[Shard]:
    """List the tars in numeric order, each with its sidecar and counts.

    Raises:
        DataError: If some tars have a sidecar and others not, or a sidecar has no tar.
    """
    root = Path(source.path).absolute()
    tars = sorted(_files.listing(root, ".tar"), key=lambda file: _files.natural(file.name))
    sidecars = {file.stem: file for file in _files.listing(root, ".parquet")}
    stats = {file.name[: -len("_stats.json")]: file for file in _files.listing(root, "_stats.json")}
    if sidecars:
        _check_partners(root, {file.stem for file in tars}, set(sidecars))
    return [
        _shard(number, [tar, *(found[tar.stem] for found in (sidecars, stats) if tar.stem in found)])
        for number, tar in enumerate(tars)
    ]


def rows(source: Source, shard: Shard) -> ShardRows:
    """Read the metadata of one shard, and hold tar, sidecar and counts against each other.

    Raises:
        DataError: If the tar is truncated or damaged, or the three do not belong together.
    """
    samples = _tar.scan(shard.files[0])
    sidecar = _file(shard, ".parquet")
    if sidecar is None:
        found, got = _sidecar.from_members(samples, shard), {"successes": len(samples)}
    else:
        found, got = _sidecar.join(samples, sidecar, shard)
    return replace(found, notes=_compare_counts(shard, got, sidecar is not None))


def images(source: Source, shard: Shard) -> Iterator[tuple[str, bytes]]:
    """Read the images of a shard from front to back."""
    samples = _tar.scan(shard.files[0])
    with _tar.opened(shard.files[0]) as file:
        for sample in samples:
            if sample.fault is None and sample.image is not None:
                yield sample.key, _tar.read(file, sample.image, shard.files[0])


def image(source: Source, shard: Shard, keys: Collection[str]) -> dict[str, bytes]:
    """Read a few images by key; of samples that share a key, the first."""
    found: dict[str, bytes] = {}
    with _tar.opened(shard.files[0]) as file:
        for sample in _tar.scan(shard.files[0]):
            if sample.key in keys and sample.key not in found and sample.fault is None and sample.image:
                found[sample.key] = _tar.read(file, sample.image, shard.files[0])
    return found


def _shard(number: int, files: list[Path]) -> Shard:
    shard = Shard(number, files[0].stem, tuple(map(str, files)), None, True, None)
    counts = _counts(shard)
    return Shard(number, shard.name, shard.files, None, True, counts.get("successes"))


def _check_partners(root: Path, tars: set[str], sidecars: set[str]) -> None:
    for single, has, lacks in ((tars - sidecars, ".tar", ".parquet"), (sidecars - tars, ".parquet", ".tar")):
        if single:
            first = ", ".join(sorted(single, key=_files.natural)[:_NAMED])
            raise DataError(
                f"{len(single):,} shards in '{root}' have a {has} and no {lacks} ({first}); "
                "fetch the missing files, or take these away"
            )


def _file(shard: Shard, ending: str) -> str | None:
    return next((file for file in shard.files[1:] if file.endswith(ending)), None)


def _counts(shard: Shard) -> dict[str, int]:
    """Read the producer's counts; nothing where there are none."""
    path = _file(shard, "_stats.json")
    if path is None:
        return {}
    try:
        with Path(path).open("rb") as file:
            content = dict(json.loads(file.read(_STATS_BYTES)))
        return {name: int(content[name]) for name in ("count", "successes") if name in content}
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise DataError(
            f"'{path}' is not img2dataset's counts ({error}). Fetch or write the shard again"
        ) from error


def _compare_counts(shard: Shard, got: dict[str, int], listed: bool) -> tuple[str, ...]:
    """Hold the files against the producer's counts.

    img2dataset counts a sample, then leaves it out of tar and sidecar where writing it raised. So where those
    two agree, a higher count is worth a note; without a sidecar it is a tar that lost its end.
    """
    stated = _counts(shard)
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
