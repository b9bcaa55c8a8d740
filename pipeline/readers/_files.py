"""Finding files by how their names end and by the numbers in them."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from indexes.errors import DataError
from pipeline.files.afar.stand_ins import stand_in
from pipeline.sets.plain_text import plain_text

# Hugging Face writes how many there are behind the number: train-00003-of-00128.
_NUMBER = re.compile(r"([0-9]+)(?:-of-[0-9]+)?$")
_OF = re.compile(r"(.*?)([0-9]+)-of-([0-9]+)", re.DOTALL)
_NAMED = 5
_LOOKS = 8
"""Files whose headers are looked at side by side; a look waits for the disk, or a network behind it."""
Thing = TypeVar("Thing")
Found = TypeVar("Found")


def side_by_side(look: Callable[[Thing], Found], things: Iterable[Thing]) -> list[Found]:
    """Look at many files at a time; the answers are in the order of the files, and so is the first error."""
    with ThreadPoolExecutor(_LOOKS, "nearfar-look") as pool:
        return list(pool.map(look, things))


def stamp(paths: Iterable[Path], follow: bool = False) -> str:
    """Hash what the file system says of every file below some paths: name, size and time; nothing is read.

    Folders that links lead to are gone through where `follow` says so.

    Raises:
        DataError: If a folder cannot be listed.
    """
    digest = hashlib.sha256()
    for path in paths:
        for name, size, time in sorted(_walked(path, follow)):
            digest.update(f"{name}\0{size}\0{time}\n".encode("utf-8", "surrogateescape"))
        digest.update(b"\0")
    return digest.hexdigest()


def _walked(path: Path, follow: bool) -> Iterator[tuple[str, int, int]]:
    if not path.is_dir():
        found = path.stat()
        yield "", found.st_size, found.st_mtime_ns
        return
    waiting: list[tuple[str, tuple[str, ...]]] = [(str(path), (os.path.realpath(path),))]
    while waiting:
        folder, above = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    target = os.path.realpath(entry.path) if follow and entry.is_symlink() else entry.path
                    # A link that leads round in a circle is looked at as a link; the reader will refuse it.
                    if entry.is_dir(follow_symlinks=follow and target not in above):
                        waiting.append((entry.path, (*above, target) if follow else above))
                    elif entry.is_symlink() and (far := stand_in(entry.path)) is not None:
                        yield entry.path[len(str(path)) :], *far.stamp[:2]
                    else:
                        # A link's target may change while the link stands still.
                        found = entry.stat(follow_symlinks=not dangling(entry))
                        yield entry.path[len(str(path)) :], found.st_size, found.st_mtime_ns
        except OSError as error:
            raise DataError(f"cannot list the folder '{folder}': {error.strerror}") from error


def dangling(entry: os.DirEntry[str]) -> bool:
    """Say whether an entry is a link that leads nowhere."""
    return entry.is_symlink() and not Path(entry.path).exists()


def listing(folder: Path, ending: str) -> list[Path]:
    """List the visible files of a folder whose names end so, in upper or lower case, in no promised order.

    Names are compared as text, so `*`, `[` and quotes in them mean nothing.
    """
    try:
        with os.scandir(folder) as entries:
            found = [e for e in entries if e.name.lower().endswith(ending) and not e.name.startswith(".")]
            return [Path(entry.path) for entry in found if entry.is_file() or stand_in(entry.path)]
    except OSError as error:
        raise DataError(f"cannot list the folder '{folder}': {error.strerror}") from error


def parquets(path: Path) -> list[Path]:
    """List the Parquet files of a folder as people count them, or the one that a path is; none where it is another."""
    if path.is_file():
        return [path] if path.name.lower().endswith(".parquet") else []
    return sorted(listing(path, ".parquet"), key=lambda file: natural(file.name))


def holds(folder: Path, ending: str) -> bool:
    """Tell whether a folder holds a visible file whose name ends so; False where it cannot be listed."""
    try:
        return bool(listing(folder, ending))
    except DataError:
        return False


def by_number(files: Iterable[Path]) -> dict[int, Path]:
    """Order files by the number at the end of their stem: `img_emb_2.npy` comes before `img_emb_10.npy`.

    Of `train-00003-of-00128` that is 3.

    Raises:
        DataError: If a stem has no number at its end, or two have the same one.
    """
    numbered: dict[int, Path] = {}
    for file in sorted(files):
        digits = _NUMBER.search(file.stem)
        if digits is None:
            raise DataError(
                f"'{file}' has no number at the end of its name, so nothing can be paired with it"
            )
        number = int(digits.group(1))
        if number in numbered:
            raise DataError(
                f"'{numbered[number]}' and '{file}' have the same number {number}; keep one of the two"
            )
        numbered[number] = file
    return dict(sorted(numbered.items()))


GAP = "gap in the numbers of"
COUNTED_ALONE = "have a _stats.json and no .tar"
FETCHED_ONCE = "that nearfar fetched or was to fetch are not there"


def tells_of_missing_files(note: str) -> bool:
    """Say whether a note on a set's files is about files that left a trace and are not there."""
    return note.startswith(GAP) or COUNTED_ALONE in note or FETCHED_ONCE in note


def gaps(numbers: Iterable[int], what: str) -> tuple[str, ...]:
    """Say which numbers are missing between the first and the last; nothing where none is."""
    there = sorted(set(numbers))
    return _gap(there, what, f"between {there[0]} and {there[-1]}") if there else ()


def short_of(files: Iterable[Path], what: str) -> tuple[str, ...]:
    """Say which files are missing, the first and the last too, of those whose names say how many there are.

    Like `train-00003-of-00128`; nothing where none is missing, or their numbers are not that many.
    """
    series: dict[tuple[str, int], set[int]] = {}
    for file in files:
        if named := _OF.fullmatch(file.stem):
            series.setdefault((named[1], int(named[3])), set()).add(int(named[2]))
    notes: list[str] = []
    for (head, total), numbers in sorted(series.items()):
        first = 1 if total in numbers and 0 not in numbers else 0
        there = [first - 1, *sorted(numbers), first + total]
        if there == sorted(there):
            named_so = f"of the {total:,} that '{plain_text(head)}…-of-{total}' tells of"
            notes += _gap(there, what, named_so)
    return tuple(notes)


def _gap(there: Sequence[int], what: str, of: str) -> tuple[str, ...]:
    """Word a note on the numbers between neighbours of a sorted list; none where they follow one another."""
    runs = [(low + 1, high - 1) for low, high in pairwise(there) if high - low > 1]
    if not runs:
        return ()
    missing = sum(last - first + 1 for first, last in runs)
    shown = [f"{first}" if first == last else f"{first}-{last}" for first, last in runs[:_NAMED]]
    more = " …" if len(runs) > _NAMED else ""
    which = (
        f"number {shown[0]} is missing" if missing == 1 else f"numbers {', '.join(shown)}{more} are missing"
    )
    return (
        f"{GAP} {what}: {which} ({missing:,} {of}); if they belong to this set, fetch them and run again",
    )


def first_of(names: Sequence[str]) -> str:
    """List the first of some names, with a mark where there are more."""
    return ", ".join(names[:_NAMED]) + (" …" if len(names) > _NAMED else "")


def natural(name: str) -> tuple[tuple[str, int], ...]:
    """Sort key by which `part-2` comes before `part-10`, with zeros before the number or without."""
    pieces = re.split(r"([0-9]+)", name)
    numbers = [int(piece) for piece in pieces[1::2]]
    return (*zip(pieces[0::2], [*numbers, -1], strict=True), (name, 0))


def folder_beside(root: Path, named: str | None, default: str, setting: str) -> Path:
    """Find a folder of a set: as named, inside the set or from the current directory, else the default one.

    Raises:
        DataError: If it is not there, and the message lists the folders that are; or if the name means two folders.
    """
    candidates = [root / (named or default), *([Path(named).absolute()] if named else [])]
    found = list(dict.fromkeys(candidate.resolve() for candidate in candidates if candidate.is_dir()))
    if len(found) > 1:
        raise DataError(
            f"{setting}: '{named}' means two folders: '{candidates[0]}' inside the set, and '{candidates[1]}' from the "
            "current directory. Give the whole path of the one that you mean"
        )
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    there = sorted(child.name for child in root.iterdir() if child.is_dir()) if root.is_dir() else []
    raise DataError(
        f"'{root}' has no folder '{named or default}'; its folders: {', '.join(there) or 'none'}. "
        f"Name the right one under {setting}"
    )
