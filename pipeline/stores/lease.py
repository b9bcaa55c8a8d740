"""One run at a time on a store: a lease that its holder renews, and that another takes when it has run out.

The lease is one object, changed only by who saw its last state (compare and swap). No clock is compared with another's:
whoever wants a lease that is held watches it, and takes it over when it has stood still for longer than a holder would
let it. A holder that could not renew it looks before each commit whose it is (`fence`), and commits nothing more once
another has it.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

from indexes.errors import OutputError
from pipeline.stores.object_states import HeldObject, Version
from pipeline.stores.objects import Objects

LEASE = ".lock"
RENEWED_EVERY = 5.0
"""Seconds between two renewals."""
RUNS_OUT_AFTER = 30.0
"""Seconds for which a lease has to stand still before another takes it."""


@dataclass(frozen=True, slots=True)
class Term:
    """What a lease says.

    Attributes:
        pid: Process of its holder.
        host: Host of its holder.
        token: What is this run's alone.
        copy: The working copy that the run writes from: two runs of one host with one copy are kept apart by its lock.
        beat: How often it was renewed.
        held: Whether it still is; false once the run has ended.
    """

    pid: int
    host: str
    token: str
    copy: str
    beat: int = 0
    held: bool = True


def term_of(held: HeldObject | None) -> Term | None:
    """Read a lease; None where there is none, or no sense in it."""
    try:
        return None if held is None else Term(**json.loads(held.content))
    except (ValueError, TypeError):
        return None


@contextlib.contextmanager
def leased(objects: Objects, mine: Term) -> Iterator[None]:
    """Hold the lease for the length of the block, renewing it meanwhile.

    Raises:
        OutputError: If another run holds it.
    """
    keeper = _Keeper(objects, mine, _taken(objects, mine))
    keeper.start()
    try:
        yield
    finally:
        keeper.end()


def at_work(objects: Objects, copy: str) -> Term | None:
    """Find the run on another working copy that holds the lease now: one that renews it while it is watched."""
    found = term_of(objects.read(LEASE))
    if found is None or not found.held or found.copy == copy:
        return None
    return found if _moves(objects, found, 1.5 * RENEWED_EVERY) else None


def _taken(objects: Objects, mine: Term) -> Version:
    """Take the lease: a new one, one that was given back, one's own copy's, or one that has run out."""
    content = _content(mine)
    while True:
        held = objects.read(LEASE)
        if held is None:
            version = objects.write_new(LEASE, content)
        else:
            other = term_of(held)
            free = other is None or not other.held or _is_former(other, mine)
            if not free and other is not None:
                said = f"process {other.pid} on host {other.host} has '{objects.address}', or left it"
                print(f"{said}: looking for {RUNS_OUT_AFTER:.0f} s whether it is at work", file=sys.stderr)
                if _moves(objects, other, RUNS_OUT_AFTER):
                    raise OutputError(_in_use(objects, other))
            version = objects.replace(LEASE, content, held.version)
        if version is not None:
            return version
        rival = term_of(objects.read(LEASE))
        if rival is not None and rival.held and not _is_former(rival, mine):
            raise OutputError(_in_use(objects, rival))


def _is_former(other: Term, mine: Term) -> bool:
    """Tell whether a lease is of a run that is over: it had the copy that one has locked now, on the same machine."""
    # A copy on a disk that machines share, or two machines made of one image: its lock may say nothing to the other.
    return (other.copy, other.host) == (mine.copy, mine.host)


def _moves(objects: Objects, seen: Term, seconds: float) -> bool:
    """Watch a lease for so long; true as soon as its holder renews it, or another has it."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(min(0.5, RENEWED_EVERY / 4))
        now = term_of(objects.read(LEASE))
        if now is None or not now.held:
            return False
        if now != seen:
            return True
    return False


class _Keeper(threading.Thread):
    """Renews a lease until it is ended."""

    def __init__(self, objects: Objects, mine: Term, version: Version) -> None:
        super().__init__(name="lease", daemon=True)
        self._objects, self._mine = objects, mine
        self._version: Version | None = version
        self._over = threading.Event()

    def run(self) -> None:
        """Renew it time and again; a store that does not answer is asked again next time."""
        while self._version is not None and not self._over.wait(RENEWED_EVERY):
            with contextlib.suppress(OutputError):
                self._say(replace(self._mine, beat=self._mine.beat + 1))

    def end(self) -> None:
        """Give it back; where the store does not answer, it runs out by itself."""
        self._over.set()
        self.join()
        if self._version is not None:
            with contextlib.suppress(OutputError):
                self._say(replace(self._mine, held=False))

    def _say(self, term: Term) -> None:
        assert self._version is not None  # noqa: S101 - who lost it says nothing more
        self._version = self._objects.replace(LEASE, _content(term), self._version)
        self._mine = term


def _content(term: Term) -> bytes:
    return json.dumps(asdict(term), sort_keys=True).encode()


def _in_use(objects: Objects, other: Term) -> str:
    return (
        f"'{objects.address}' is in use by another nearfar run (process {other.pid} on host {other.host}); one run may "
        "write there at a time. Wait for it to end, stop it, or name another output"
    )
