"""Going through a folder of images: which files are images, which tell of one, and which are neither."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from indexes.errors import DataError
from pipeline.files.afar.endings import IMAGE_SUFFIXES
from pipeline.files.afar.stand_ins import is_there, stand_in
from pipeline.readers._contract import UNREAD_KINDS
from pipeline.readers._folders.captions import tells_captions
from pipeline.readers._leftover import DROPPING, counted, is_dropping, kind_of
from pipeline.sets import columns

TEXT_SUFFIXES = (".json", ".txt")
"""Files of an image's name that end so say its caption."""
TOLD_SUFFIXES = (*TEXT_SUFFIXES, ".csv", ".jsonl", ".parquet")
"""Files of a shard that end so are no images."""


@dataclass(slots=True)
class Walk:
    """What was come across.

    Attributes:
        root: Real path of the set.
        follow: Whether links may leave it.
        others: Files that are no images, by kind.
        texts: Files that may tell of an image, by `columns.loose` of their path without the suffix.
        tables: Files that may tell of many images.
    """

    root: str
    follow: bool
    others: Counter[str] = field(default_factory=Counter)
    texts: dict[str, list[str]] = field(default_factory=dict)
    tables: list[str] = field(default_factory=list)

    def beside(self, image: str, names: Collection[str]) -> list[str]:
        """List the texts of an image, which are then no longer counted as others.

        Args:
            image: The image.
            names: What texts about any image of the set may be called: one that is called exactly as another image's
                is not this one's, though the two names look alike (in NFC and NFD).
        """
        found = []
        for name in names_of(image):
            if held := self.texts.get(columns.loose(name)):
                found += [
                    text for text in held if (stem := without_suffix(text)) == name or stem not in names
                ]
                self.texts[columns.loose(name)] = [text for text in held if text not in found]
        for file in found:
            self.others[kind_of(file)] -= 1
        return sorted(found)


def without_suffix(file: str) -> str:
    """Cut off how a file's name ends: what an image and the texts about it share."""
    return file.removesuffix(Path(file).suffix)


def names_of(image: str) -> tuple[str, str]:
    """List what the texts about an image may be called before their suffix: `a.txt`, or `a.jpg.txt`."""
    return without_suffix(image), image


def walk(folder: str, seen: Walk, above: tuple[str, ...]) -> Iterator[str]:
    """List the images under a folder and note the other files.

    Args:
        folder: The folder.
        seen: Is added to.
        above: Real paths of it and of the folders that lead to it.

    Raises:
        DataError: If a folder cannot be listed, or a symbolic link leaves the set, leads nowhere or in a circle.
    """
    for entry in _entries(Path(folder)):
        if is_dropping(entry.name):
            seen.others[DROPPING] += 1
            continue
        is_folder = entry.is_dir()
        kind = Path(entry.name).suffix.lower()
        if not is_folder and kind not in IMAGE_SUFFIXES and kind[1:] not in UNREAD_KINDS:
            seen.others[kind_of(entry.name)] += 1
            if tells_captions(entry.name) and is_there(entry.path):
                seen.tables.append(entry.path)
            if kind in TEXT_SUFFIXES and entry.is_file():
                seen.texts.setdefault(columns.loose(without_suffix(entry.path)), []).append(entry.path)
            continue
        is_far = entry.is_symlink() and stand_in(entry.path) is not None
        if entry.is_symlink() and not is_far:
            _check_link(entry.path, seen, above)
        if is_folder:
            yield from walk(entry.path, seen, (*above, os.path.realpath(entry.path)))
        elif is_far or entry.is_file():
            yield entry.path


def _check_link(link: str, seen: Walk, above: tuple[str, ...]) -> None:
    target = os.path.realpath(link)
    if not Path(target).exists():
        fault = "leads nowhere"
    elif target in above:
        fault = "leads round in a circle"
    elif not seen.follow and not Path(target).is_relative_to(seen.root):
        fault = f"leaves the folder (to '{target}')"
    else:
        return
    advice = "Remove the link, or put the files themselves there"
    if fault.startswith("leaves"):
        advice += ", or set follow_links: true for this set"
    raise DataError(
        f"the symbolic link '{link}' {fault}; nearfar reads only what lies inside the set. {advice}"
    )


def visible(folder: Path) -> list[os.DirEntry[str]]:
    """List a folder without its hidden entries and the droppings of systems."""
    return [entry for entry in _entries(folder) if not is_dropping(entry.name)]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise DataError(f"cannot list the folder '{folder}': {error.strerror}") from error


def left_out(others: Counter[str]) -> tuple[str, ...]:
    """Say how many files of which kinds are not looked at."""
    return counted("that do not end like an image are left out", others)
