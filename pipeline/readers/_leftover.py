"""Files that lie in a set's folders and belong to no shard: none is passed over in silence."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from indexes.errors import DataError
from pipeline.sets.columns import plain_text

DROPPING = "hidden or dropped by macOS, Windows or Hadoop"
"""How a note calls entries of which `is_dropping` is true."""
# Hadoop and Spark also leave `.part-0.crc`, which is hidden; what comes here begins with no dot.
_DROPPED = frozenset(
    {
        *("thumbs.db", "desktop.ini", "$recycle.bin", "system volume information"),
        *("__macosx", "@eadir", "lost+found", "_success", "_temporary"),
    }
)
DROPPED_KINDS = frozenset(name.rpartition(".")[2] for name in _DROPPED if "." in name)
"""How files end that systems leave behind."""
_DROPPED_STARTS = ("_committed_", "_started_")
_KINDS_TOLD = 8
# Where nearfar has embedded a set, this says with what; see pipeline/stages/catalog.py.
_OWN = frozenset({"fingerprint.json"})
_STATS = "_stats.json"


def is_dropping(name: str) -> bool:
    """Tell whether a file or folder of that name is no part of any set: hidden, or left by a system."""
    lower = name.lower()
    marker = lower.startswith(_DROPPED_STARTS) and "." not in lower
    return name.startswith(".") or lower in _DROPPED or marker


def kind_of(name: str) -> str:
    """Name the kind of a file, as notes count it: its suffix in lower case, or `_stats.json`."""
    return _STATS if name.endswith(_STATS) else Path(name).suffix.lower() or "no suffix"


def left_out(folders: Iterable[Path], used: Iterable[str]) -> tuple[str, ...]:
    """Count, by kind, what lies in some folders and belongs to no shard; folders inside count as one each.

    Args:
        folders: Absolute paths; what is below them is not looked at.
        used: Absolute paths of the files that belong to shards or are named elsewhere.

    Raises:
        DataError: If a folder cannot be listed.
    """
    places = {str(folder) for folder in folders}
    files = set(used)
    above = places | {str(parent) for place in places for parent in Path(place).parents}
    others: Counter[str] = Counter()
    for folder in sorted(places):
        for entry in _entries(folder):
            if is_dropping(entry.name):
                others[DROPPING] += 1
            elif entry.is_dir():
                others["folders"] += entry.path not in above
            elif entry.path not in files and entry.name not in _OWN:
                others[kind_of(entry.name)] += 1
    return counted("left out, since no shard has them", others)


def counted(what: str, others: Counter[str]) -> tuple[str, ...]:
    """Word a note that counts files by kind; none where there are none."""
    found = sorted((+others).items(), key=lambda pair: (-pair[1], pair[0]))
    if not found:
        return ()
    kinds = ", ".join(f"{count:,} {plain_text(kind)}" for kind, count in found[:_KINDS_TOLD])
    more = f" and {len(found) - _KINDS_TOLD:,} kinds more" if len(found) > _KINDS_TOLD else ""
    return (f"files {what}: {kinds}{more}",)


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise DataError(f"cannot list the folder '{folder}': {error.strerror}") from error
