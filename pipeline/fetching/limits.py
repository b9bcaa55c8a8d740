"""What one image may cost, and what went wrong with one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What one address may cost.

    Attributes:
        body_bytes: Bytes of a body; one that is larger, or says so, is not read to its end.
        seconds: From looking the name up to the last byte, redirects included.
        idle_seconds: Without a byte.
        bytes_per_second: What must come on average, from the first byte on; `timed_socket` gives some seconds' grace.
        redirects: How often an answer may point elsewhere.
        pixels: Width times height, by the image's header.
        loopback: Whether this machine's own addresses may be connected to: for tests.
    """

    body_bytes: int = 32 << 20
    seconds: float = 30.0
    idle_seconds: float = 10.0
    bytes_per_second: int = 1024
    redirects: int = 5
    pixels: int = 1 << 26
    loopback: bool = False


class NotFetchedError(Exception):
    """An address gave no image.

    Attributes:
        reason: What the row then says.
        passing: Whether it may go away by itself.
        wait: Seconds that the host asks to be left alone, 0 if it does not say how long; None if it does not ask.
        url: Where that was, after redirects; None where nobody was to be asked.
        connected: Whether any connection was made.
    """

    def __init__(self, reason: str, passing: bool = False, wait: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.passing = passing
        self.wait = wait
        self.url: str | None = None
        self.connected = False
