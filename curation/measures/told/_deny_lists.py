"""Deny lists: what must not be in a split, or in an output at all, by uid, link, host or digest of the image.

A list is secret: no message, log or report shows an entry of it. What is wrong is told by its line.
"""

from __future__ import annotations

import hashlib
import io
import re
import string
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import quote, urlsplit, urlunsplit

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from indexes.errors import PlanError

Kind = Literal["uid", "url", "host", "sha256", "md5"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_DIGITS = {"uid": 32, "sha256": 64, "md5": 32}
_PORTS = {"http": 80, "https": 443, "ftp": 21}
LONGEST_HOST = 253
"""Characters of a name that DNS may have; what is longer is no host's."""
_ESCAPE = re.compile(r"%[0-9a-fA-F]{2}")
_WHOLE_ESCAPE = re.compile(r"(?<!%)(?<!%[0-9a-fA-F])%[0-9a-fA-F]{2}")
"""One that is no end of another: what stands for it would make an escape of what is none."""
_UNRESERVED = frozenset(string.ascii_letters + string.digits + "-._~")
_SENT = "".join(map(chr, range(0x21, 0x7F)))


def list_digest(path: str, where: str) -> str:
    """Hash a list's file: sha256, 64 hex digits.

    Raises:
        PlanError: If it cannot be read.
    """
    return hashlib.sha256(_content(path, where)).hexdigest()


@lru_cache(maxsize=16)
def deny_list(kind: Kind, path: str, digest: str, where: str) -> frozenset[str]:
    """Read a list, each entry in its normal form.

    Args:
        kind: What its entries are.
        path: Text with an entry a line, or CSV or Parquet with a column that is called like the kind, or one alone.
        digest: Of the file, so that one that changed is read again.
        where: Place in the plan or the command, for messages.

    Raises:
        PlanError: If the file is not such a list, or an entry is not of this kind.
    """
    place, normal = f"{where} ({Path(path).name})", NORMAL[kind]
    found = set[str]()
    for number, entry in enumerate(_entries(kind, path, place), 1):
        if entry is None or not entry.strip():
            continue
        value = normal(entry)
        if not value:
            digits = f"{_DIGITS[kind]} hex digits" if kind in _DIGITS else f"a {kind}"
            raise PlanError(
                f"{place}: entry {number} is no {kind}; every entry is {digits}. Correct it, or take it out"
            )
        found.add(value)
    if not found:
        raise PlanError(
            f"{place} has no entry, so that nothing would be found; name another file, or leave it out"
        )
    return frozenset(found)


def normal_url(url: str) -> str:
    """Bring a link into one form: two links of one form are the same.

    White space around it goes. http and https are the same, scheme and host are in lower case, a host is in ASCII
    without a dot at its end, user and usual port and what follows # go, an empty path is /, and the digits of %-escapes
    are in upper case. Path and query are otherwise as they are. What is no link stays as it is.
    """
    text = url.strip()
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return text
    host = normal_host(parts.hostname or "")
    if not parts.scheme or not host:
        return text
    usual = port is None or port == _PORTS.get(parts.scheme)
    scheme = "https" if parts.scheme == "http" else parts.scheme
    path, query = (
        _ESCAPE.sub(lambda found: found.group().upper(), one) for one in (parts.path or "/", parts.query)
    )
    return urlunsplit((scheme, host if usual else f"{host}:{port}", path, query, ""))


def asked_url(url: str) -> str:
    """Bring a link into the form in which it is asked for: links that lead to one request are the same.

    As `normal_url`, with the %-escapes that are sent for letters outside ASCII, and without those that stand for
    letters, digits, `-`, `.`, `_` and `~` (RFC 3986, 6.2.2.2).
    """
    text = normal_url(url)
    if text.isascii() and "%" not in text:
        return text
    return quote(_WHOLE_ESCAPE.sub(_plain, text), safe=_SENT, errors="replace")


def _plain(escape: re.Match[str]) -> str:
    letter = chr(int(escape.group()[1:], 16))
    return letter if letter in _UNRESERVED else escape.group().upper()


def normal_host(host: str) -> str:
    """Bring a host into one form: lower case, ASCII, no dot at its end; a link's host is taken out of it."""
    text = host.strip()
    if "/" in text or "@" in text:
        return host_of(text if "://" in text else f"https://{text}") or ""
    text = text.rstrip(".").lower()
    if text.isascii() or len(text) > LONGEST_HOST:
        return text
    try:
        return text.encode("idna").decode().rstrip(".")  # of which some dots are ASCII's only now
    except UnicodeError:
        return text


def host_of(url: str) -> str | None:
    """Find the host of a link; None where it has none."""
    try:
        found = urlsplit(url.strip()).hostname
    except ValueError:
        return None
    return normal_host(found) if found else None


def matches_host(host: str, denied: frozenset[str]) -> bool:
    """Say whether a host is one of those, or below one of them: `a.example.org` is below `example.org`."""
    if len(host) > LONGEST_HOST:
        return False
    labels = host.split(".")
    return any(".".join(labels[at:]) in denied for at in range(len(labels)))


def hit(kind: Kind, value: str | None, denied: frozenset[str]) -> bool | None:
    """Say whether a sample's value is on a list; None where that is not known, for the sample has no such value."""
    if value is None:
        return None
    if kind == "host":
        host = host_of(value)
        return None if host is None else matches_host(host, denied)
    return NORMAL[kind](value) in denied


def _digits(count: int) -> Callable[[str], str]:
    pattern = re.compile(rf"[0-9a-f]{{{count}}}")

    def normal(text: str) -> str:
        plain = text.strip().lower()
        plain = plain.replace("-", "") if count == 32 else plain
        return plain if pattern.fullmatch(plain) else ""

    return normal


NORMAL: Mapping[str, Callable[[str], str]] = {
    "uid": _digits(32),
    "url": asked_url,
    "host": normal_host,
    "sha256": _digits(64),
    "md5": _digits(32),
}
"""How an entry of each kind is brought into one form; empty where it is none."""


def _entries(kind: Kind, path: str, place: str) -> Iterable[str | None]:
    content, ending = _content(path, place), Path(path).suffix.lower()
    if ending not in (".csv", ".parquet"):
        return content.decode("utf-8-sig", "surrogateescape").splitlines()
    try:
        table = pq.read_table(io.BytesIO(content)) if ending == ".parquet" else _csv(content)
    except (pa.ArrowException, OSError) as error:
        # Arrow's message may quote a line of the list.
        raise PlanError(
            f"{place} cannot be read as {ending[1:]} ({type(error).__name__}); write it again"
        ) from None
    names = table.column_names
    chosen = kind if kind in names else names[0] if len(names) == 1 else None
    if chosen is None:
        raise PlanError(
            f"{place} has {len(names)} columns and none is called {kind}; give the one to read that name"
        )
    column = table.column(chosen)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise PlanError(f"{place}: the column {chosen} holds {column.type}; write its entries as text")
    found: list[str | None] = column.to_pylist()
    return found


def _csv(content: bytes) -> pa.Table:
    """Every column is text: an md5 of digits alone is no number."""
    header = csv.open_csv(io.BytesIO(content)).schema.names
    return csv.read_csv(
        io.BytesIO(content),
        convert_options=csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string())),
    )


def _content(path: str, where: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise PlanError(
            f"{where} is {path!r}, which cannot be read ({error.strerror}); give a file with one entry a line, CSV or "
            "Parquet with a column of entries"
        ) from None
