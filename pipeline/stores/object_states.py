"""What is seen of an object: its name, its size, and what a store calls the state that it is in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Version = dict[str, str]
"""What a store calls a state of an object: its `e_tag`, and its `version` where it has those."""


@dataclass(frozen=True, slots=True)
class SeenObject:
    """An object as a listing shows it: its name below the folder, its size in bytes, its state."""

    name: str
    bytes: int
    version: Version

    @property
    def mark(self) -> str:
        """Write its state in a line: what the store calls it, and the size."""
        return f"{told_by(self.version)} {self.bytes}"


@dataclass(frozen=True, slots=True)
class HeldObject:
    """A small object that was read whole."""

    content: bytes
    version: Version


def told_by(version: Version | None) -> str | None:
    """Give what tells a state from others; empty where a store names none, None where there is no object."""
    if version is None:
        return None
    # Some stores tell the version of an object that is asked for, and not of one that is listed or was just written.
    return version.get("e_tag") or version.get("version", "")


def version_of(found: Any) -> Version:
    """Take the state out of what the library says of an object."""
    return {name: str(found[name]) for name in ("e_tag", "version") if found[name] is not None}
