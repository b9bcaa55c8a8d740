"""Which files below a folder are opened, as the kernel tells it: by Python, Arrow, DuckDB or any other library."""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path

import pytest

_OPEN, _IS_FOLDER, _OVERFLOW = 0x20, 0x40000000, 0x4000
_HEAD = struct.Struct("iIII")


class Opened:
    """A watch on every folder below one, as they are now."""

    def __init__(self, folder: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._events = libc.inotify_init1(os.O_NONBLOCK)
        if self._events < 0:
            pytest.skip("the kernel gives no inotify here")
        self._folders: dict[int, str] = {}
        for path in (folder, *(found for found in folder.rglob("*") if found.is_dir())):
            watch = libc.inotify_add_watch(self._events, os.fsencode(path), _OPEN)
            assert watch >= 0, os.strerror(ctypes.get_errno())
            self._folders[watch] = path.relative_to(folder).as_posix()

    def take(self) -> set[str]:
        """Name the files that were opened since the last call."""
        found: set[str] = set()
        while True:
            try:
                content = os.read(self._events, 1 << 20)
            except BlockingIOError:
                return found
            at = 0
            while at < len(content):
                watch, mask, _, length = _HEAD.unpack_from(content, at)
                assert not mask & _OVERFLOW
                name = content[at + _HEAD.size : at + _HEAD.size + length].rstrip(b"\0").decode()
                at += _HEAD.size + length
                if name and not mask & _IS_FOLDER:
                    found.add(f"{self._folders[watch]}/{name}")

    def close(self) -> None:
        os.close(self._events)
