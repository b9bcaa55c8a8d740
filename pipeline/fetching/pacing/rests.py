"""Hosts that asked to be left alone for a while: until when, for all pieces that a process fetches."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

LONGEST = 86_400.0
"""Seconds that are believed of a host that asks for more."""


class Rests:
    """When each host may be asked again; threads may share it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}
        self._lock = threading.Lock()

    def rest(self, host: str, seconds: float) -> float:
        """Leave a host alone for so long, or longer where it has asked so before.

        Returns:
            How many seconds that is more than before.
        """
        with self._lock:
            now = self._clock()
            self._until = {one: until for one, until in self._until.items() if until > now}
            before = self._until.get(host, now)
            self._until[host] = max(before, now + min(seconds, LONGEST))
            return self._until[host] - before

    def left(self, host: str) -> float:
        """Say for how many seconds a host is still to be left alone."""
        until = self._until.get(host)
        return 0.0 if until is None else max(0.0, until - self._clock())
