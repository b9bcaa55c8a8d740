"""Many addresses at a time, few of one host: a slow host holds up its own addresses and no others."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable


class Turns:
    """Rows that wait, by host; threads take them one by one and give the host back."""

    def __init__(self, rows: Iterable[tuple[int, str]], per_host: int) -> None:
        """Take (row, host) pairs, and how many rows of one host may be at work at a time."""
        self._waiting: dict[str, deque[int]] = {}
        for row, host in rows:
            self._waiting.setdefault(host, deque()).append(row)
        self._free = dict.fromkeys(self._waiting, per_host)
        # Hosts that have a row and a place, in turn.
        self._ready = deque(self._waiting)
        self._left = sum(map(len, self._waiting.values()))
        self._changed = threading.Condition()

    def take(self) -> tuple[int, str] | None:
        """Wait for a row whose host has a place; None once every row was taken."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._ready) or not self._left)
            if not self._left:
                return None
            host = self._ready.popleft()
            row = self._waiting[host].popleft()
            self._free[host] -= 1
            self._left -= 1
            if self._waiting[host] and self._free[host]:
                self._ready.append(host)
                self._changed.notify()
            if not self._left:
                self._changed.notify_all()
            return row, host

    def give_back(self, host: str) -> None:
        """Say that a row of the host is done."""
        with self._changed:
            self._free[host] += 1
            if self._waiting[host] and self._free[host] == 1:
                self._ready.append(host)
                self._changed.notify()

    def stop(self) -> None:
        """Let nobody take a row any more."""
        with self._changed:
            self._left = 0
            self._changed.notify_all()
