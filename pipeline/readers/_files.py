"""Finding files by how their names end and by the numbers in them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from indexes.errors import DataError

_NUMBER = re.compile(r"([0-9]+)$")


def listing(folder: Path, ending: str) -> list[Path]:
    """List the visible files of a folder whose names end so, whatever their case, in no promised order.

    Names are compared as text, so `*`, `[` and quotes in them mean nothing.
    """
    try:
        with os.scandir(folder) as entries:
            found = [e for e in entries if e.name.lower().endswith(ending) and not e.name.startswith(".")]
            return [Path(entry.path) for entry in found if entry.is_file()]
    except OSError as error:
        raise DataError(f"cannot list the folder '{folder}': {error.strerror}") from error


def holds(folder: Path, ending: str) -> bool:
    """Tell whether a folder holds a visible file whose name ends so; False where it cannot be listed."""
    try:
        return bool(listing(folder, ending))
    except DataError:
        return False


def by_number(files: Iterable[Path]) -> dict[int, Path]:
    """Order files by the number at the end of their stem: `img_emb_2.npy` comes before `img_emb_10.npy`.

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


def natural(name: str) -> tuple[tuple[str, int], ...]:
    """Sort key by which `part-2` comes before `part-10`, whatever the padding."""
    pieces = re.split(r"([0-9]+)", name)
    numbers = [int(piece) for piece in pieces[1::2]]
    return (*zip(pieces[0::2], [*numbers, -1], strict=True), (name, 0))


def folder_beside(root: Path, named: str | None, default: str, setting: str) -> Path:
    """Find a folder of a set: as named, inside the set or from the current directory, else the default one.

    Raises:
        DataError: If it is not there; the message lists the folders that are.
    """
    candidates = [root / (named or default), *([Path(named).absolute()] if named else [])]
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    there = sorted(child.name for child in root.iterdir() if child.is_dir()) if root.is_dir() else []
    raise DataError(
        f"'{root}' has no folder '{named or default}'; its folders: {', '.join(there) or 'none'}. "
        f"Name the right one under {setting}"
    )
