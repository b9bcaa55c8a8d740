"""Stand-ins: links in the folder of a set, each for a file on a store whose bytes are brought when they are needed.

A link says by its own text which object it stands for, in which state, and how large that is; it leads to where the
bytes lie once they are here, in a folder that the sets of a machine share. Until then it leads nowhere: who opens it
gets an error, and never zeros. What is seen of it (size, stamp) is the same whether the bytes are here or not.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from pipeline.files.afar.endings import SHARDS

HELD = "held"
"""The folder, beside those of sets, of the bytes that are here."""
_TARGET = re.compile(rf"(?:\.\./)+{HELD}/([0-9a-f]{{32}})-([0-9]{{1,15}})")
_DIGITS = 15


@dataclass(frozen=True, slots=True)
class StandIn:
    """A file that is on a store.

    Attributes:
        path: Its place in the set, absolute.
        held: Where its bytes are when they are here.
        state: 32 hex digits: which object it is, and in which state it was seen.
        bytes: Its size.
    """

    path: str
    held: Path
    state: str
    bytes: int

    @property
    def stamp(self) -> tuple[int, int, int]:
        """Stand for what a file system says of a file: size, and two numbers that change with its state."""
        return self.bytes, int(self.state[:_DIGITS], 16), int(self.state[_DIGITS : 2 * _DIGITS], 16)

    @property
    def comes(self) -> bool:
        """Say whether its bytes come here when they are needed; those of any other file are read where they are."""
        return self.path.lower().endswith(SHARDS)

    @property
    def name(self) -> str:
        """What its bytes are called where they lie."""
        return self.held.name

    def is_here(self, descriptor: int | None = None) -> bool:
        """Say whether its bytes are here, whole and unchanged; `descriptor` is of what was opened there."""
        found = self._look(descriptor)
        return found is not None and self._is_own(found)

    def is_altered(self) -> bool:
        """Say whether something else lies where its bytes should."""
        found = self._look()
        return found is not None and not self._is_own(found)

    def _look(self, descriptor: int | None = None) -> os.stat_result | None:
        try:
            return self.held.stat() if descriptor is None else os.fstat(descriptor)
        except FileNotFoundError:
            return None

    def _is_own(self, found: os.stat_result) -> bool:
        return found.st_size == self.bytes and found.st_mtime_ns == time_of(self.name)


def time_of(name: str) -> int:
    """Say which time of change, in nanoseconds, the bytes of that name are given: a write makes it another."""
    return (1_000_000_000 + 2 * int(name[:7], 16)) * 10**9


def stand_in(path: str | Path) -> StandIn | None:
    """Read what a path stands for; None where it is a file of this machine, or nothing."""
    try:
        text = os.readlink(path)  # noqa: PTH115 - asked of many files, of which few are links
    except OSError:
        return None
    match = _TARGET.fullmatch(text)
    if match is None:
        return None
    place = os.path.abspath(path)  # noqa: PTH100 - a link is not to be followed
    held = os.path.normpath(os.path.join(os.path.dirname(place), text))  # noqa: PTH118, PTH120
    return StandIn(place, Path(held), match[1], int(match[2]))


def target(folder: Path, held: Path, state: str, size: int) -> str:
    """Write the text of a link that lies in `folder`, for bytes that will be in the folder `held`."""
    return f"{os.path.relpath(held, folder)}/{state}-{size}"


def is_there(path: str | Path) -> bool:
    """Say whether a set has a file of that path, on this machine or on a store."""
    return Path(path).is_file() or stand_in(path) is not None


def length_of(path: str | Path) -> int:
    """Size of a file in bytes, of one that is on a store too.

    Raises:
        OSError: If it is neither here nor there.
    """
    found = stand_in(path)
    return Path(path).stat().st_size if found is None else found.bytes
