"""How many bytes of sets lie on this machine at a time, and which are given up where others are needed.

All sets share one folder, and all processes of a machine one account of it: who looks at it and changes it has its
turn, by a lock. What somebody is at work on is locked too, and stays. A process that dies leaves no lock: what it was
bringing is cleared away by whoever has the next turn.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from indexes.errors import BadInputError, OutputError
from pipeline.files.afar.stand_ins import StandIn, time_of
from pipeline.files.locking.file_locks import NoFileLocksError, lock
from pipeline.files.storage import free_bytes, output_errors

VARIABLE = "NEARFAR_ROOM"
_SHARE = 0.75
"""Of what would be free without the bytes of sets: so much they may have where the variable says nothing."""
_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(?:([kKMGTP])(i?)[bB]?|[bB])?\s*")
_POWERS = "kmgtp"
_WHOLE = re.compile(r"[0-9a-f]{32}-([0-9]{1,15})")
_TORN = re.compile(r"\.([0-9a-f]{32}-[0-9]{1,15})\.[0-9a-f]+\.tmp")
_COMING = re.compile(r"\.coming\.([0-9a-f]{32}-[0-9]{1,15})\.[0-9a-f]+")
_FLAGS = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW


def said_room() -> int | None:
    """Read how many bytes the user allows; None where nothing is said.

    Raises:
        BadInputError: If that is no size.
    """
    text = os.environ.get(VARIABLE, "")
    if not text.strip():
        return None
    match = _SIZE.fullmatch(text)
    if match is None:
        raise BadInputError(
            f"{VARIABLE} is '{text}', which is no size; set it to one such as 500GB or 1.5TiB"
        )
    power = _POWERS.index(match[2].lower()) + 1 if match[2] else 0
    return int(float(match[1]) * (1024 if match[3] else 1000) ** power)


@dataclass(slots=True)
class HeldRoom:
    """The folder of what is here.

    Attributes:
        folder: Where it is.
        whole: By name, size in bytes and time of last use of what is here; as of the last look.
        coming: Names of what some process is bringing.
    """

    folder: Path
    whole: dict[str, tuple[int, int]] = field(default_factory=dict)
    coming: set[str] = field(default_factory=set)

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Have the folder for oneself, and look at it.

        Raises:
            OutputError: If it cannot be made, or its file system has no locks.
        """
        with output_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.folder / ".turn", _FLAGS | os.O_CREAT, 0o666)
        try:
            self._lock(descriptor, fcntl.LOCK_EX)
            self._look()
            yield
        finally:
            os.close(descriptor)

    def most(self) -> int:
        """Say how many bytes may be here."""
        said = said_room()
        held = sum(size for size, _ in self.whole.values())
        return int(_SHARE * (held + free_bytes(self.folder))) if said is None else said

    def pin(self, one: StandIn) -> int | None:
        """Keep what is here until the descriptor that is given is closed; None where it is not, or was altered."""
        try:
            descriptor = os.open(one.held, _FLAGS)
        except FileNotFoundError:
            return None
        # Between the two steps another may have given it up, who has no turn now that is ours.
        kept = self._lock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB) and one.is_here(descriptor)
        if kept and one.held.exists():
            os.utime(descriptor, ns=(time.time_ns(), time_of(one.name)))
            return descriptor
        os.close(descriptor)
        return None

    def reserve(self, name: str) -> tuple[int, Path]:
        """Say that one brings something; until the descriptor is closed, which comes before the path is removed."""
        path = self.folder / f".coming.{name}.{secrets.token_hex(8)}"
        with output_errors(path):
            descriptor = os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, 0o666)
        self._lock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return descriptor, path

    def settle(self, one: StandIn) -> int:
        """Make what was just brought count, and keep it until the descriptor that is given is closed."""
        with output_errors(one.held):
            descriptor = os.open(one.held, _FLAGS)
            try:
                self._lock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
                os.fsync(descriptor)  # before it counts: a machine that goes down must not leave zeros
                os.utime(descriptor, ns=(time.time_ns(), time_of(one.name)))
            except BaseException:
                os.close(descriptor)
                raise
        return descriptor

    def make(self, needed: int, keep: Collection[str]) -> bool:
        """Give up what nobody uses, the longest unused first, until `needed` bytes more fit; False if they do not."""
        coming = sum(int(name.rpartition("-")[2]) for name in self.coming)
        over = sum(size for size, _ in self.whole.values()) + coming + needed - self.most()
        for name, (size, _) in sorted(self.whole.items(), key=lambda item: item[1][1]):
            if over <= 0:
                break
            if name not in keep and self._give_up(name):
                del self.whole[name]
                over -= size
        return over <= 0

    def _look(self) -> None:
        self.whole, self.coming, torn = {}, set(), []
        names = [entry.name for entry in os.scandir(self.folder)]
        for name in names:
            match = _COMING.fullmatch(name)
            if match is not None and not self._give_up(name):
                self.coming.add(match[1])
        for name in names:
            whole, part = _WHOLE.fullmatch(name), _TORN.fullmatch(name)
            if part is not None and part[1] not in self.coming:
                torn.append(name)
            if whole is not None and name not in self.coming:
                found = (self.folder / name).stat()
                if found.st_size == int(whole[1]) and found.st_mtime_ns == time_of(name):
                    self.whole[name] = found.st_size, found.st_atime_ns
                else:
                    torn.append(name)
        for name in torn:
            self._give_up(name)

    def _give_up(self, name: str) -> bool:
        """Remove a file that no process keeps; says whether it is gone."""
        path = self.folder / name
        try:
            descriptor = os.open(path, _FLAGS)
        except FileNotFoundError:
            return True
        try:
            if self._lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB):
                path.unlink(missing_ok=True)
                return True
            return False
        finally:
            os.close(descriptor)

    def _lock(self, descriptor: int, kind: int) -> bool:
        try:
            return lock(descriptor, kind)
        except NoFileLocksError as error:
            raise OutputError(
                f"the file system of '{self.folder}' has no file locks, by which units keep the files of sets that "
                "they read; set NEARFAR_COPIES to a folder on another"
            ) from error
