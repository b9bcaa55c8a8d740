"""Fetch what lies at an address, as far as the limits go."""

from __future__ import annotations

import http.client
import re
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.fetching.connections import Connection
from pipeline.fetching.host_names import HostNames
from pipeline.fetching.limits import Limits, NotFetchedError
from pipeline.fetching.owners_words import asked_wait, opted_out
from pipeline.fetching.timed_socket import Clock

USER_AGENT = "nearfar (image-text research; respects noai, noimageai, noindex, noimageindex, tdm-reservation)"
_HEADERS = {
    "User-Agent": USER_AGENT,
    "Accept": "image/jpeg,image/png,image/webp,image/gif",
    "Accept-Encoding": "identity",
    "Connection": "close",
}
_SQUEEZED = frozenset({"gzip", "x-gzip", "deflate", "compress", "x-compress", "br", "zstd", "dcb", "dcz"})
"""Content codings (IANA). Servers say other words there too, `utf-8` or `none`, of bodies that are plain."""
_MOVED = frozenset({301, 302, 303, 307, 308})
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_CHUNK = 1 << 16
_SAFE = "%/:=&?~#+!$,;'@()*[]|"
_LARGE = 1 << 20
"""Bytes of a body from which on it is large."""
_LONGEST_HOST = 253
_LONGEST_PLACE = 8192
"""Of a redirect: what it says is kept with the row, and a server may say much."""
_FREE_PORTS = 1024
"""Ports below are of services that are no web servers: a link may lead to somebody's mail."""
_NO_HOST = re.compile(r"[\x00-\x20\x7f]")


@dataclass(frozen=True, slots=True)
class WebTarget:
    """A checked URL: http or https, with a host, without a user name."""

    secure: bool
    host: str
    port: int | None
    path: str


def target(url: str) -> WebTarget:
    """Read a URL.

    Raises:
        NotFetchedError: If it is none that is fetched.
    """
    try:
        parts = urllib.parse.urlsplit(url.strip())
        port, host = parts.port, parts.hostname
    except ValueError:
        raise NotFetchedError("not a URL") from None
    if parts.scheme.lower() not in ("http", "https"):
        raise NotFetchedError("not a URL of http or https")
    if not host:
        raise NotFetchedError("not a URL")
    if "@" in parts.netloc:
        raise NotFetchedError("the URL holds a user name or password")
    if port is not None and port < _FREE_PORTS and port not in (80, 443):
        raise NotFetchedError("the port is another service's")
    if len(host) > _LONGEST_HOST:  # IDNA would take seconds over a million letters
        raise NotFetchedError("no valid host name")
    try:
        spelled = host if ":" in host else host.encode("idna").decode("ascii")
    except UnicodeError:
        raise NotFetchedError("no valid host name") from None
    if _NO_HOST.search(spelled):
        raise NotFetchedError("no valid host name")
    path = urllib.parse.quote(parts.path or "/", safe=_SAFE, errors="replace")
    query = urllib.parse.quote(parts.query, safe=_SAFE, errors="replace")
    return WebTarget(parts.scheme.lower() == "https", spelled, port, f"{path}?{query}" if query else path)


@dataclass(frozen=True, slots=True)
class Download:
    """A body, and the address that gave it, which redirects may have led to."""

    content: bytes
    url: str


def host_of(url: str) -> str:
    """Name a URL's host, for counts; an empty text where there is none."""
    try:
        return target(url).host.lower()
    except NotFetchedError:
        return ""


def download(
    url: str,
    limits: Limits,
    names: HostNames,
    denies: Callable[[str], bool] | None = None,
    large: Callable[[float], None] | None = None,
) -> Download:
    """Fetch a body.

    Args:
        url: Where to ask first.
        limits: What it may cost.
        names: Who looks hosts up.
        denies: Says of an address, at each redirect anew, whether nobody is to ask there.
        large: Called with the seconds that it may take, before a large body is read on.

    Raises:
        NotFetchedError: With the reason.
    """
    clock = Clock(limits)
    for _ in range(limits.redirects + 1):
        if denies is not None and denies(url):
            raise NotFetchedError("on a deny list")
        try:
            found = _ask(target(url), limits, names, clock, large)
        except NotFetchedError as error:
            error.url, error.connected = url, clock.connected
            raise
        if isinstance(found, bytes):
            return Download(found, url)
        url = _joined(url, found)
    raise NotFetchedError(f"more than {limits.redirects} redirects")


def _ask(
    at: WebTarget,
    limits: Limits,
    names: HostNames,
    clock: Clock,
    large: Callable[[float], None] | None,
) -> bytes | str:
    """Ask once; give the body, or where else to ask."""
    connection = Connection(at.host, at.port, at.secure, names, clock)
    try:
        connection.request("GET", at.path, headers=_HEADERS)
        answer = connection.getresponse()
        if answer.status in _MOVED:
            _check_owner(answer)
            return _elsewhere(answer)
        _check_answer(answer)
        return _body(answer, limits, (lambda: None) if large is None else lambda: large(clock.left()))
    except TimeoutError:
        clock.left()  # says so where the whole time is over
        raise NotFetchedError("no byte for too long", passing=True) from None
    except (http.client.RemoteDisconnected, http.client.IncompleteRead) as error:
        raise NotFetchedError("connection lost", passing=True) from error
    except http.client.HTTPException as error:
        raise NotFetchedError(f"not HTTP: {type(error).__name__}") from error
    except (OSError, ValueError) as error:
        raise NotFetchedError("connection lost", passing=True) from error
    finally:
        connection.end()


def _elsewhere(answer: http.client.HTTPResponse) -> str:
    there = answer.getheader("Location")
    if not there:
        raise NotFetchedError("a redirect to nowhere")
    if len(there) > _LONGEST_PLACE:
        raise NotFetchedError("a redirect to an address that is too long")
    return there.encode("latin-1").decode("utf-8", "replace")


def _joined(url: str, there: str) -> str:
    try:
        return urllib.parse.urljoin(url, there)
    except ValueError:
        raise NotFetchedError("not a URL") from None


def _check_owner(answer: http.client.HTTPResponse) -> None:
    """Look for an owner's word; who leads elsewhere may say it of what was asked for, too."""
    robots, mining = (answer.headers.get_all(name) or () for name in ("X-Robots-Tag", "tdm-reservation"))
    if opted_out(robots, mining):
        raise NotFetchedError("its owner opted out")


def _check_answer(answer: http.client.HTTPResponse) -> None:
    if answer.status != http.HTTPStatus.OK:
        wait = asked_wait(answer.status, answer.getheader("Retry-After"), time.time())
        raise NotFetchedError(f"HTTP status {answer.status}", answer.status in _PASSING, wait)
    _check_owner(answer)
    codings = (answer.getheader("Content-Encoding") or "").lower().split(",")
    if not _SQUEEZED.isdisjoint(coding.strip() for coding in codings):
        raise NotFetchedError("sent compressed, which was not asked for")


def _body(answer: http.client.HTTPResponse, limits: Limits, large: Callable[[], None]) -> bytes:
    too_large = f"larger than {limits.body_bytes:,} bytes"
    stated = answer.length
    if stated is not None and stated > limits.body_bytes:
        raise NotFetchedError(too_large)
    chunks, size = [], 0
    while chunk := answer.read(_CHUNK):
        if size <= _LARGE < size + len(chunk):
            large()
        chunks.append(chunk)
        size += len(chunk)
        if size > limits.body_bytes:
            raise NotFetchedError(too_large)
    if stated is not None and size != stated:
        raise NotFetchedError("the body ends early", passing=True)
    if not size:  # of no stated length, it may as well be lost
        raise NotFetchedError("empty body", passing=stated is None)
    return b"".join(chunks)
