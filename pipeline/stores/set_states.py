"""What a machine knows of the sets that it has from stores: whence each came, and in which state objects were seen.

The folder of a set has its files, and beside them what the last run on this machine saw of all objects. On a machine of
a cluster, which is told of single files, each has a note of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipeline.files.afar.stand_ins import HELD, stand_in, target
from pipeline.files.storage import write_atomic

FILES = "files"
"""The folder of a set's files in that of the set."""
_STATE = ".brought.json"


def set_root(folder: Path) -> Path | None:
    """Find what a set was brought into, that a folder is of; None for any other folder."""
    return next(
        (one for one in folder.parents if one.name.startswith("set-") and (one / _STATE).is_file()), None
    )


def note(root: Path, address: str, folder: str, objects: dict[str, str]) -> None:
    """Write down what was seen of a set: its address, the folder on the store, the state of each object by name."""
    said = {"address": address, "folder": folder, "objects": objects}
    write_atomic(root, _STATE, json.dumps(said, sort_keys=True).encode())


def noted(root: Path) -> dict[str, Any]:
    """Read that; nothing where there is none, or no sense in it."""
    try:
        found = (root / _STATE).stat()
    except OSError:
        return {}
    return _noted(root, (found.st_ino, found.st_mtime_ns, found.st_size))


@lru_cache(maxsize=32)
def _noted(root: Path, stamp: tuple[int, ...]) -> dict[str, Any]:
    try:
        found = json.loads((root / _STATE).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("objects"), dict) else {}


def note_one(root: Path, folder: str, name: str, mark: str) -> None:
    """Write down the state of one file, on a machine that may know nothing else of the set."""
    if not noted(root):
        note(root, folder, folder, {})
    write_atomic(root, _note_of(name), mark.encode())


def forget_one(root: Path, name: str) -> None:
    """Take back what was written down of one file."""
    (root / _note_of(name)).unlink(missing_ok=True)


def marks_of(root: Path, name: str) -> list[str]:
    """List the states in which a file was seen: by the last run, and as a worker was told."""
    found = [noted(root).get("objects", {}).get(name)]
    with contextlib.suppress(FileNotFoundError):
        found.append((root / _note_of(name)).read_text())
    return [mark for mark in found if mark]


def state_of(root: Path, name: str, mark: str) -> str:
    """Name an object in a state as no other is named on this machine; see `StandIn.state`."""
    return hashlib.sha256(f"{root.name}\n{name}\n{mark}".encode()).hexdigest()[:32]


def stand_for(root: Path, name: str, mark: str, size: int) -> Path:
    """Let a link stand for an object in the state that was seen; one that does so already is left."""
    path = root / FILES / name
    text = target(path.parent, root.parent / HELD, state_of(root, name, mark), size)
    found = stand_in(path)
    if found is None or str(path.readlink()) != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name[:100]}.{os.getpid()}.tmp")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(text)
        fresh.replace(path)
    return path


def _note_of(name: str) -> str:
    return f"seen/{hashlib.sha256(name.encode()).hexdigest()[:32]}"
