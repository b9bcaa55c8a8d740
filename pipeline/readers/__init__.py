"""One file per pool format: what the files are, which belong together, and what is in them."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import cast

from indexes import registry
from indexes.errors import DataError
from pipeline.readers._contract import Reader, Shard, ShardRead, ShardRows, check_names
from pipeline.readers._files import side_by_side, stamp, tells_of_missing_files
from pipeline.sets.source import ReaderOptions, Source

__all__ = [
    "Reader",
    "Shard",
    "ShardRead",
    "ShardRows",
    "advice",
    "check_names",
    "describe",
    "detect",
    "format_of",
    "listing_stamp",
    "names",
    "near",
    "open_reader",
    "options_of",
    "reader_of",
    "side_by_side",
    "stamp",
    "tells_of_missing_files",
]

_KINDS_TOLD = 8
_ARCHIVES = frozenset({".zip", ".7z", ".rar", ".gz", ".bz2", ".xz", ".zst"})


def names() -> tuple[str, ...]:
    """List the formats that there is a reader for, as users write them."""
    return registry.names(sys.modules[__name__])


def detect(path: str | Path) -> tuple[str, ...]:
    """List the formats that the files at `path` fit, by a cheap look."""
    return tuple(name for name in names() if reader_of(name).recognises(Path(path)))


def describe(path: str | Path) -> str:
    """Say what is at `path` in one line, and which formats it looks like.

    Like: `3 folders, 5 .tar, 5 .parquet, 5 _stats.json: looks like img2dataset`.
    """
    place = Path(path)
    if not _exists(place):
        return "nothing: there is no such file or folder"
    if place.is_dir():
        kinds = Counter(_kind(child) for child in _children(place))
        contents = ", ".join(_counted(kind, kinds[kind]) for kind in sorted(kinds)[:_KINDS_TOLD]) or "nothing"
    else:
        contents = f"one {_kind(place)} file"
    fits = detect(place)
    return (
        f"{contents}: looks like {' or '.join(fits)}" if fits else f"{contents}: fits no format nearfar reads"
    )


def open_reader(source: Source) -> Reader:
    """Find the reader of a source by a look at the files.

    Raises:
        UnknownNameError: As `format_of`.
        DataError: As `format_of`.
    """
    return reader_of(format_of(source))


def reader_of(format_name: str) -> Reader:
    """Find the reader of a format, without a look at any files: a unit of a large set has no time for one.

    Raises:
        UnknownNameError: If there is no such format; the message lists the formats there are.
    """
    return cast(Reader, registry.load(sys.modules[__name__], "format", format_name))


def options_of(format_name: str) -> type[ReaderOptions]:
    """Find the options of a format; those of one that has none take no key.

    Raises:
        UnknownNameError: If there is no such format.
    """
    found: type[ReaderOptions] = getattr(reader_of(format_name), "Options", ReaderOptions)
    return found


def listing_stamp(source: Source) -> str:
    """Hash what the file system says of a set's files: where it is the same, so are the set's shards.

    Raises:
        DataError: If a folder cannot be listed.
    """
    kind = options_of(format_of(source))
    named = [Path(source.options[key]) for key in kind.paths if key in source.options]
    beside = [path for path in named if path.exists()]
    return stamp([Path(source.path), *beside], bool(source.options.get("follow_links")))


def format_of(source: Source) -> str:
    """Name a source's format, found out by a look at the files where the plan names none.

    Raises:
        UnknownNameError: If there is no such format; the message lists the formats there are.
        DataError: If the files are missing or are not of that format; the message says what is there.
    """
    place = Path(source.path)
    if not _exists(place):
        raise DataError(f"'{source.path}' does not exist; correct the path, or put the files there")
    if source.format is not None:
        if reader_of(source.format).recognises(place):
            return source.format
        raise DataError(
            f"'{source.path}' is not in the format '{source.format}'; found there: {describe(place)}. "
            f"Correct path or format; formats: {', '.join(names())}"
        )
    fits = detect(place)
    if len(fits) == 1:
        return fits[0]
    next_step = "name one of them under format" if fits else f"formats: {', '.join(names())}"
    if not fits:
        next_step = f"{advice(place) or 'name the folder that holds such files'}; {next_step}"
    raise DataError(
        f"the format of '{source.path}' is not clear; found there: {describe(place)}; {next_step}"
    )


def near(path: Path) -> tuple[str, Path, str] | None:
    """Find a set one level down from a path that holds none, or one level up.

    Returns:
        Where it is, in words; its path and its format. None where there is none, or more than one format fits.
    """
    folders = [child for child in _children(path) if child.is_dir()] if path.is_dir() else []
    for place in [*sorted(folders), path.absolute().parent]:
        fits = detect(place)
        if len(fits) == 1:
            return "its folder" if place.parent == path else "the folder that holds it", place, fits[0]
    return None


def advice(path: Path) -> str:
    """Say what to name instead of a path that holds no set; an empty text where nothing is known."""
    found = near(path)
    if found is not None:
        where, place, name = found
        return f"{where} '{place.name}' looks like {name}: name '{place}' as the path"
    inside = [path] if path.is_file() else _children(path)
    archives = [file.name for file in inside if file.suffix.lower() in _ARCHIVES]
    if archives:
        return f"'{archives[0]}' is an archive: unpack it, and name the folder that it becomes"
    return ""


def _exists(place: Path) -> bool:
    try:
        return place.exists()
    except OSError as error:
        raise DataError(f"cannot look at '{place}': {error.strerror}") from error


def _children(folder: Path) -> list[Path]:
    try:
        return [child for child in folder.iterdir() if not child.name.startswith(".")]
    except OSError as error:
        raise DataError(f"cannot list the folder '{folder}': {error.strerror}") from error


def _counted(kind: str, count: int) -> str:
    return f"{count:,} {kind}{'s' if kind == 'folder' and count > 1 else ''}"


def _kind(path: Path) -> str:
    if path.is_dir():
        return "folder"
    if path.name.endswith("_stats.json"):
        return "_stats.json"
    return path.suffix.lower() or "file without a suffix"
