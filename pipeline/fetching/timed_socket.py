"""A socket that ends: every byte counts against one bound and one deadline, a pause is bounded, and so is slowness."""

from __future__ import annotations

import io
import socket
import time
from typing import Any

from pipeline.fetching.limits import Limits, NotFetchedError

_GRACE = 5.0
"""Seconds from the first byte on, before a rate is looked at."""
_BESIDE = 1 << 20
"""Bytes that may come beside a body and the lengths of its pieces: headers, of every redirect."""


class Clock:
    """The time of one address, from looking its name up to the last byte.

    Attributes:
        connected: Whether a connection was made in it.
    """

    def __init__(self, limits: Limits) -> None:
        self.connected = False
        self._limits = limits
        self._began = time.monotonic()
        self._first: float | None = None
        self._bytes = 0

    def left(self) -> float:
        """Say how many seconds the next wait may take.

        Raises:
            NotFetchedError: If there are none, or too few bytes have come for the time.
        """
        now = time.monotonic()
        spent, coming = now - self._began, now - (now if self._first is None else self._first)
        if spent >= self._limits.seconds:
            raise NotFetchedError(f"took longer than {self._limits.seconds:g} s", passing=True)
        if coming > _GRACE and self._bytes < self._limits.bytes_per_second * coming:
            raise NotFetchedError(f"slower than {self._limits.bytes_per_second} bytes a second", passing=True)
        return min(self._limits.seconds - spent, self._limits.idle_seconds)

    def came(self, count: int) -> None:
        """Count bytes that arrived, whatever they are said to be.

        Raises:
            NotFetchedError: If they are more than any body in pieces takes: a piece of a negative length, say, has no
                end for `http.client`, which would hold all of it.
        """
        if self._first is None:
            self._first = time.monotonic()
        self._bytes += count
        if self._bytes > 2 * self._limits.body_bytes + _BESIDE:
            raise NotFetchedError(f"larger than {self._limits.body_bytes:,} bytes")


class _Incoming(io.RawIOBase):
    def __init__(self, wire: socket.socket, clock: Clock) -> None:
        self._wire, self._clock = wire, clock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._wire.settimeout(self._clock.left())
        count = self._wire.recv_into(buffer)
        self._clock.came(count)
        return count


class TimedSocket:
    """As much of a socket as `http.client` uses."""

    def __init__(self, wire: socket.socket, clock: Clock) -> None:
        self._wire, self._clock = wire, clock

    def sendall(self, content: bytes) -> None:
        """Send a request, which is small, within what there was left when the connection was made."""
        self._wire.sendall(content)

    def makefile(self, mode: str) -> io.BufferedReader:
        """Read what comes."""
        return io.BufferedReader(_Incoming(self._wire, self._clock))

    def close(self) -> None:
        """Do nothing: `http.client` closes what it still reads the answer from; `end` is for who is done with it."""

    def end(self) -> None:
        """End the connection."""
        self._wire.close()
