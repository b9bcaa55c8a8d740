"""Opening files of sets that are on a store: what is here, or else by way of the store.

What asks the store lies in a room above this one, and says so when it is loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from io import RawIOBase
from pathlib import Path
from typing import TypeAlias

from pipeline.files.afar.stand_ins import StandIn, stand_in

FarReader: TypeAlias = Callable[[StandIn], RawIOBase]
_readers: list[FarReader] = []


def read_by(reader: FarReader) -> FarReader:
    """Have stand-ins opened by a function."""
    _readers[:] = [reader]
    return reader


def open_far(path: str | Path) -> RawIOBase | None:
    """Open a file that a stand-in is for, unbuffered; None for any other, which is opened where it is.

    Raises:
        DataError: If it is on the store no more, or in another state.
        OutputError: If the store refuses, or there is no room for it.
    """
    found = stand_in(path)
    return None if found is None or not _readers else _readers[0](found)


def open_near_or_far(path: str | Path) -> RawIOBase:
    """Open a file wherever it is, unbuffered.

    Raises:
        OSError: If it is not there, or cannot be opened.
        DataError: As `open_far`.
        OutputError: As `open_far`.
    """
    return open_far(path) or Path(path).open("rb", buffering=0)
