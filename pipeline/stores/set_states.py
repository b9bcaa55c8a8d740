"""What a machine knows of the sets that it has from stores: whence each came, and in which state objects were seen.

The folder of a set has its files, and beside them what the last run on this machine saw of all objects. On a machine of
a cluster, which is told of single files, each has a note of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

from pipeline.files.afar.stand_ins import HELD, target
from pipeline.files.storage import temporary_name, write_atomic
from pipeline.stores.object_states import SeenObject

FILES = "files"
"""The folder of a set's files in that of the set."""
_STATE = ".brought.json"


@dataclass(frozen=True, slots=True)
class SetFile:
    """A file of a set, and the object that it is.

    Attributes:
        name: The file's, below the set.
        object: The object's, below its folder on the store.
        mark: The state in which that was seen (`SeenObject.mark`).
        sha256: Its digest, where a record names it; else empty.
    """

    name: str
    object: str
    mark: str
    sha256: str = ""

    @classmethod
    def of(cls, seen: SeenObject) -> Self:
        """Take an object as the file of its name."""
        return cls(seen.name, seen.name, seen.mark)

    @classmethod
    def read(cls, name: str, text: str) -> Self:
        """Read what `text` says of a file."""
        mark, *more = text.split("\n")
        return cls(name, more[0] if more else name, mark, more[1] if more else "")

    @property
    def text(self) -> str:
        """Say which object it is, in which state."""
        return "\n".join((self.mark, self.object, self.sha256) if self.sha256 else (self.mark,))

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return int(self.mark.rpartition(" ")[2])

    @property
    def is_told_apart(self) -> bool:
        """Say whether the store names states of it: where it does not, a change would not be seen."""
        return not self.mark.startswith(" ")

    def state(self, root: Path) -> str:
        """Name it in its state as no other file is named on this machine; see `StandIn.state`."""
        return hashlib.sha256(f"{root.name}\n{self.name}\n{self.text}".encode()).hexdigest()[:32]


def set_root(folder: Path) -> Path | None:
    """Find what a set was brought into, that a folder is of; None for any other folder."""
    return next(
        (one for one in folder.parents if one.name.startswith("set-") and (one / _STATE).is_file()), None
    )


def note(root: Path, address: str, folder: str, files: Iterable[SetFile]) -> None:
    """Write down what was seen of a set: its address, the folder on the store, and its files."""
    said = {"address": address, "folder": folder, "objects": {one.name: one.text for one in files}}
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


def known_files(root: Path) -> dict[str, SetFile]:
    """List the files that the last run on this machine saw, by name."""
    return {name: SetFile.read(name, text) for name, text in noted(root).get("objects", {}).items()}


def note_one(root: Path, folder: str, file: SetFile) -> None:
    """Write down the state of one file, on a machine that may know nothing else of the set."""
    if not noted(root):
        note(root, folder, folder, ())
    write_atomic(root, _note_of(file.name), file.text.encode())


def forget_one(root: Path, name: str) -> None:
    """Take back what was written down of one file."""
    (root / _note_of(name)).unlink(missing_ok=True)


def states_of(root: Path, name: str) -> list[SetFile]:
    """List the states in which a file was seen: by the last run, and as a worker was told."""
    found = [noted(root).get("objects", {}).get(name)]
    with contextlib.suppress(FileNotFoundError):
        found.append((root / _note_of(name)).read_text())
    return [SetFile.read(name, text) for text in found if text]


def stand_for(root: Path, file: SetFile) -> Path:
    """Let a link stand for an object in the state that was seen; one that does so already is left."""
    path = root / FILES / file.name
    text = target(path.parent, root.parent / HELD, file.state(root), file.size)
    try:
        found = os.readlink(path)  # noqa: PTH115 - asked of every image of a set
    except OSError:  # nothing, or a file
        found = ""
    if found == text:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.symlink_to(text)
    except FileExistsError:
        fresh = path.with_name(temporary_name(path.name))
        fresh.symlink_to(text)
        fresh.replace(path)
    return path


def _note_of(name: str) -> str:
    return f"seen/{hashlib.sha256(name.encode()).hexdigest()[:32]}"
