"""What owners say in a server's answer: not to take what is there, or to wait."""

from __future__ import annotations

import email.utils
import http
import re
from collections.abc import Iterable

_OPT_OUT = frozenset({"noai", "noimageai", "noindex", "noimageindex", "none"})
"""What nobody may take; `none` is how crawlers' documentation calls noindex and nofollow together."""
_VALUED = frozenset({"max-snippet", "max-image-preview", "max-video-preview", "unavailable_after"})
"""Words of X-Robots-Tag that a value follows after a colon; before any other colon stands a robot's name."""
_ROBOT = re.compile(r"[^\s:]+")
"""A robot's name; a date of `unavailable_after` has commas and colons too, and spaces."""
_SECONDS = re.compile(r"[0-9]{1,9}")


def opted_out(robots: Iterable[str], mining: Iterable[str]) -> bool:
    """Say whether headers ask not to be taken: X-Robots-Tag for all or for nearfar, or the TDM reservation protocol."""
    for header in robots:
        agent = ""
        for part in header.lower().split(","):
            before, colon, after = (piece.strip() for piece in part.partition(":"))
            if colon and before not in _VALUED and _ROBOT.fullmatch(before):
                agent, word = before, after
            else:
                word = before
            if word in _OPT_OUT and agent in ("", "*", "nearfar"):
                return True
    return any(value.strip() == "1" for value in mining)


def asked_wait(status: int, said: str | None, now: float) -> float | None:
    """Read for how many seconds a host asks to be left alone (RFC 9110, 10.2.3; RFC 6585, 4); None if it does not.

    Args:
        status: Of the answer; 429 asks by itself.
        said: Its header Retry-After: seconds, or a date.
        now: Seconds since 1970.
    """
    asks = status == http.HTTPStatus.TOO_MANY_REQUESTS
    if not asks and (status != http.HTTPStatus.SERVICE_UNAVAILABLE or said is None):
        return None
    text = (said or "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, OverflowError, OSError):
        return 0.0 if asks else None
