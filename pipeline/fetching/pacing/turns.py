"""Many addresses at a time, few of one host: a slow host holds up its own addresses and no others.

A host that asks to wait is left alone for as long as it says, and then asked for half as many at a time. Who asks for
more than there is patience for is not asked any more.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable

from pipeline.fetching.pacing.rests import Rests


class Turns:
    """Rows that wait, by host; threads take them one by one and give the host back."""

    def __init__(
        self, rows: Iterable[tuple[int, str]], per_host: int, rests: Rests, patience: float = 0.0
    ) -> None:
        """Take (row, host) pairs, and how many rows of one host may be at work at a time.

        Args:
            rows: The pairs.
            per_host: The number.
            rests: Which hosts are to be left alone.
            patience: Seconds that are waited for one host at most, in all.
        """
        self._waiting: dict[str, deque[int]] = {}
        for row, host in rows:
            self._waiting.setdefault(host, deque()).append(row)
        self._left = sum(map(len, self._waiting.values()))
        self._places = dict.fromkeys(self._waiting, per_host)
        self._at_work = Counter[str]()
        self._rests, self._patience = rests, dict.fromkeys(self._waiting, patience)
        self._asked_to_wait = Counter[str]()
        self._resting = set[str]()
        # Hosts that have a row and a place, in turn; the set says which are in it.
        self._ready, self._offered = deque[str](), set[str]()
        self._stopped = False
        self._changed = threading.Condition()
        with self._changed:
            for host in self._waiting:
                self._wait_for(host, rests.left(host))
                self._offer(host)

    def take(self) -> tuple[int, str] | None:
        """Wait for a row whose host has a place; None once every row was taken."""
        with self._changed:
            while self._left and not self._stopped:
                self._wake()
                if not self._ready:
                    self._changed.wait(min(map(self._rests.left, self._resting), default=None))
                    continue
                host = self._ready.popleft()
                self._offered.discard(host)
                if host in self._resting:
                    continue
                row = self._waiting[host].popleft()
                self._at_work[host] += 1
                self._left -= 1
                self._offer(host)
                if not self._left:
                    self._changed.notify_all()
                return row, host
            return None

    def may_ask(self, host: str) -> bool:
        """Say whether there is patience left for a host."""
        return self._patience[host] >= 0

    def again(self, row: int, host: str, seconds: float) -> bool:
        """Let a row wait again, whose host asked to be left alone; `give_back` follows.

        Args:
            row: The row.
            host: Its host.
            seconds: As the host says; 0 if it does not say, and then it is 1, 2, 4 and so on.

        Returns:
            Whether the row waits; else the patience is at its end, and what the host said stands.
        """
        with self._changed:
            if host not in self._resting and self.may_ask(host):
                seconds = max(seconds, 2.0 ** self._asked_to_wait[host])
                self._asked_to_wait[host] += 1
                self._places[host] = max(1, self._places[host] // 2)
            self._wait_for(host, self._rests.rest(host, seconds))
            waits = self.may_ask(host)
            if waits:
                self._waiting[host].append(row)
                self._left += 1
            self._changed.notify_all()
            return waits

    def give_back(self, host: str) -> None:
        """Say that a row of the host is done."""
        with self._changed:
            self._at_work[host] -= 1
            self._offer(host)

    def stop(self) -> None:
        """Let nobody take a row any more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _wait_for(self, host: str, seconds: float) -> None:
        """Take a wait from the patience for a host; of one for whom there is none, the rows come out at once."""
        self._patience[host] -= seconds
        if seconds and self.may_ask(host):
            self._resting.add(host)
        elif not self.may_ask(host):
            self._resting.discard(host)
            self._offer(host)

    def _wake(self) -> None:
        for host in [host for host in self._resting if not self._rests.left(host)]:
            self._resting.discard(host)
            self._offer(host)

    def _offer(self, host: str) -> None:
        has_place = self._at_work[host] < self._places[host] and host not in self._resting
        if self._waiting[host] and has_place and host not in self._offered:
            self._ready.append(host)
            self._offered.add(host)
            self._changed.notify()
