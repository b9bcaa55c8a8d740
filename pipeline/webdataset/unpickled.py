"""Members that a trainer's loader would unpickle, which runs whatever code a stranger put there.

webdataset's `decode()` chooses by the last suffix of a member's name, behind `.gz`, which it unpacks first. What other
loaders unpickle by their common suffixes counts too.
"""

from __future__ import annotations

import io
import tokenize
import zipfile
from collections.abc import Callable
from functools import lru_cache
from typing import IO, Any

import numpy as np

from pipeline.files.vector_file import DAMAGE

PICKLES = frozenset(("pickle", "pkl", "pyd", "dill", "joblib", "cloudpickle", "pth", "pt", "ckpt"))
"""Suffixes of pickles: Python's own, and torch's."""
# numpy reads no longer header of an array than 10,000 characters, unless it is told to.
_MOST_HEADER = 16_384
# Arrays of an archive that are looked at.
_MOST_ARRAYS = 10_000


def is_unpickled(kind: str, content: bytes | memoryview) -> bool:
    """Say whether some loader would unpickle a member.

    An array is looked into: numbers are no pickle. One that is compressed as a whole is not unpacked for that.

    Args:
        kind: What follows the key in the member's name, in lower case: `jpg`, `mask.npy`, `pkl.gz`, ….
        content: Its bytes.
    """
    unpickled, holds_numbers = _by_name(kind)
    return unpickled if holds_numbers is None else not holds_numbers(io.BytesIO(content))


def told_by_name(kind: str) -> bool | None:
    """Say of a member by its name alone whether some loader would unpickle it; None if its content decides."""
    unpickled, holds_numbers = _by_name(kind)
    return unpickled if holds_numbers is None else None


@lru_cache(maxsize=1024)
def _by_name(kind: str) -> tuple[bool, Callable[[IO[bytes]], bool] | None]:
    """Say whether a name alone tells, and else which look at the content does."""
    plain = kind
    while plain.endswith(".gz"):
        plain = plain.removesuffix(".gz")
    last = plain.rpartition(".")[2]
    return last in PICKLES or (last in _ARRAYS and plain != kind), _ARRAYS.get(
        last
    ) if plain == kind else None


def _is_plain_array(stream: IO[bytes]) -> bool:
    """Tell whether an .npy holds numbers; what has not its mark is a pickle to numpy."""
    head = io.BytesIO(stream.read(_MOST_HEADER))
    try:
        read = _HEADERS.get(np.lib.format.read_magic(head))
        return read is not None and not read(head)[2].hasobject
    except (ValueError, SyntaxError, TypeError, tokenize.TokenError):
        return False


def _is_plain_archive(stream: IO[bytes]) -> bool:
    """Tell whether an .npz holds such arrays alone."""
    try:
        with zipfile.ZipFile(stream) as archive:
            names = archive.infolist()
            return len(names) <= _MOST_ARRAYS and all(_is_plain_entry(archive, name) for name in names)
    except (OSError, ValueError, *DAMAGE):
        return False


def _is_plain_entry(archive: zipfile.ZipFile, name: zipfile.ZipInfo) -> bool:
    with archive.open(name) as stream:
        return _is_plain_array(stream)


_HEADERS: dict[tuple[int, int], Callable[..., tuple[Any, bool, np.dtype[Any]]]] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_ARRAYS: dict[str, Callable[[IO[bytes]], bool]] = {"npy": _is_plain_array, "npz": _is_plain_archive}
