"""Which files of img2dataset's folder belong together, and which are there without the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from indexes.errors import DataError
from pipeline.readers import _files

_NAMED = 5


def check_partners(root: Path, tars: set[str], sidecars: set[str]) -> None:
    """Refuse shards of which some have a sidecar and others not.

    Raises:
        DataError: If a tar or a sidecar stands alone.
    """
    for single, has, lacks in ((tars - sidecars, ".tar", ".parquet"), (sidecars - tars, ".parquet", ".tar")):
        if single:
            first = ", ".join(sorted(single, key=_files.natural)[:_NAMED])
            raise DataError(
                f"{len(single):,} shards in '{root}' have a {has} and no {lacks} ({first}); "
                "fetch the missing files, or take these away"
            )


def not_there(tars: Sequence[Path], stats: Mapping[str, Path]) -> tuple[str, ...]:
    """Name shards that left a trace and are not there: counts without a tar, and gaps in the numbers."""
    stems = {tar.stem for tar in tars}
    numbers = (int(stem) for stem in stems if stem.isdecimal() and stem.isascii())
    notes = _files.short_of(tars, "the tars") or _files.gaps(numbers, "the tars")
    alone = sorted(stats.keys() - stems, key=_files.natural)
    if not alone:
        return notes
    return (
        *notes,
        f"{len(alone):,} shards {_files.COUNTED_ALONE} ({_files.first_of(alone)}): their samples are missing; fetch "
        "the tars and run again",
    )
