"""Files of sets on stores, here for as long as somebody reads them.

A unit of work holds its inputs from before it begins until it has ended. What is missing is brought, in the state that
the run was planned by, and others' files are given up for it, never those that are held. All of a unit's files are held
or none, so that no two units wait for each other; where they have no room together, each is brought as it is opened,
and held until it is closed.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from indexes.errors import OutputError
from pipeline.files.afar.far_reading import read_by
from pipeline.files.afar.stand_ins import StandIn, stand_in
from pipeline.stores.far_bringing import bring_whole
from pipeline.stores.far_files import FarFile, far_object
from pipeline.stores.held_room import VARIABLE, HeldRoom

_LONGEST_WAIT = 0.1
_own = threading.local()
_one_by_one: list[Mapping[str, StandIn]] = []
"""Files of blocks of `held` that have no room together."""
_open: set[int] = set()
"""Descriptors of those that are open."""


@contextlib.contextmanager
def held(paths: Iterable[str | Path]) -> Iterator[None]:
    """Have files here for the length of the block; those of no store, and single images, are where they are.

    Raises:
        DataError: If one is on its store no more, or in another state.
        OutputError: If a store cannot be read, or there is no room for one of them.
    """
    with contextlib.ExitStack() as stack:
        for folder, wanted in sorted(_by_folder(paths).items()):
            stack.enter_context(_held(HeldRoom(folder), wanted))
        yield


@read_by
def open_held(found: StandIn) -> io.RawIOBase:
    """Open a file that is here, and keep it until it is closed; of one that is not, or never, read ranges there.

    Raises:
        DataError: If it is on its store no more, or in another state.
        OutputError: If a store cannot be read, or there is no room for it.
    """
    if not found.comes:
        return FarFile(far_object(found))
    room = HeldRoom(found.held.parent)
    descriptor = room.pin(found)
    if descriptor is None and _one_by_one:
        # Who has some already waits for no more: two who do would wait for each other.
        waits = not _open and not getattr(_own, "bytes", 0)
        pins = _taken(room, {found.name: found}, waits)
        if pins is None and waits:
            _check_fits(room, found)
        descriptor = pins[0] if pins else None
    return FarFile(far_object(found)) if descriptor is None else _HeldFile(descriptor)


def bring_ahead(paths: Iterable[str | Path]) -> None:
    """Bring files that somebody will soon hold, if there is room now; what goes wrong is left for them to say.

    Nothing is kept for it: they may be given up again before they are used.
    """
    with contextlib.suppress(Exception):
        for folder, wanted in sorted(_by_folder(paths).items()):
            _close(_taken(HeldRoom(folder), wanted, waits=False) or ())


class _HeldFile(io.FileIO):
    """A file that stays here until it is closed."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "rb")
        _open.add(descriptor)

    def close(self) -> None:
        if not self.closed:
            _open.discard(self.fileno())
            fcntl.flock(self.fileno(), fcntl.LOCK_UN)
        super().close()


def _by_folder(paths: Iterable[str | Path]) -> dict[Path, dict[str, StandIn]]:
    found: dict[Path, dict[str, StandIn]] = {}
    for path in paths:
        one = stand_in(path)
        if one is not None and one.comes:
            found.setdefault(one.held.parent, {})[one.name] = one
    return found


@contextlib.contextmanager
def _held(room: HeldRoom, wanted: Mapping[str, StandIn]) -> Iterator[None]:
    pins = _taken(room, wanted, waits=True)
    if pins is None:
        _check_fits(room, max(wanted.values(), key=lambda one: one.bytes))
        _one_by_one.append(wanted)
        try:
            yield
        finally:
            _one_by_one.remove(wanted)
        return
    outer = getattr(_own, "bytes", 0)
    _own.bytes = outer + _size(wanted)
    try:
        yield
    finally:
        _own.bytes = outer
        _close(pins)


def _size(wanted: Mapping[str, StandIn]) -> int:
    return sum(one.bytes for one in wanted.values())


def _close(pins: Iterable[int]) -> None:
    for descriptor in pins:
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # a process that was forked meanwhile has it open too
        os.close(descriptor)


def _fits(room: HeldRoom, wanted: Mapping[str, StandIn]) -> bool:
    """Say whether files would fit if nobody else held any."""
    return _size(wanted) + getattr(_own, "bytes", 0) <= room.most()


def _check_fits(room: HeldRoom, one: StandIn) -> None:
    with room.turn():
        most = room.most()
    if one.bytes > most:
        raise OutputError(
            f"'{one.path}', which is on a store, has {one.bytes:,} bytes, and there is room for {most:,} at "
            f"'{room.folder}'; set {VARIABLE} to more, or NEARFAR_COPIES to a folder with more room"
        )


def _taken(room: HeldRoom, wanted: Mapping[str, StandIn], waits: bool) -> list[int] | None:
    """Keep all files, bringing what is missing; gives what to close when they are not needed any more.

    None if they have no room together, or would have to wait for it and one does not wait.
    """
    wait = 0.01
    while True:
        with room.turn():
            if not _fits(room, wanted):
                return None
            found = {name: room.pin(one) for name, one in wanted.items()}
            pins = [descriptor for descriptor in found.values() if descriptor is not None]
            missing = {name: one for name, one in wanted.items() if found[name] is None}
            try:
                ready = not missing.keys() & room.coming and room.make(_size(missing), wanted.keys())
                coming = [room.reserve(name) for name in missing] if ready else []
            except BaseException:
                _close(pins)
                raise
        if ready:
            return _brought(room, missing, pins, coming)
        _close(pins)
        if not waits:
            return None
        time.sleep(wait)
        wait = min(2 * wait, _LONGEST_WAIT)


def _brought(
    room: HeldRoom, missing: Mapping[str, StandIn], pins: list[int], coming: list[tuple[int, Path]]
) -> list[int]:
    try:
        bring_whole([(far_object(one), one.held) for one in missing.values()])
        pins += [room.settle(one) for one in missing.values()]
    except BaseException:
        _close(pins)
        raise
    finally:
        for _, path in coming:
            path.unlink(missing_ok=True)
        _close(descriptor for descriptor, _ in coming)
    return pins
