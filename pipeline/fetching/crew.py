"""Threads that fetch the rows of a piece, and processes that look at what came."""

from __future__ import annotations

import atexit
import hashlib
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from types import TracebackType
from typing import Self

from pipeline.execution.display.redaction import redact
from pipeline.execution.failpoints import failpoint
from pipeline.fetching.connections import let_open
from pipeline.fetching.denied import Denied
from pipeline.fetching.host_names import HostNames
from pipeline.fetching.limits import Limits, NotFetchedError
from pipeline.fetching.pacing.large_bodies import LargeBodies, LargePlace
from pipeline.fetching.pacing.rests import Rests
from pipeline.fetching.pacing.turns import Turns
from pipeline.fetching.spool import Place, Spool
from pipeline.fetching.web_request import download, host_of
from pipeline.files.children import ChildFailedError, Children
from pipeline.sets.ingest_request import IngestRequest

_DECODE_SECONDS = 60.0
_LARGE_BODIES = 16
"""In memory at a time, of one process: each may have 32 MiB, and there may be a thousand connections."""


@cache
def _decoders(count: int) -> Children:
    """Processes that outlive a piece, for starting them takes longer than some pieces do."""
    children = Children("pipeline.fetching.kept_image:prepared", count, _DECODE_SECONDS)
    atexit.register(children.close)
    return children


@cache
def _rests() -> Rests:
    """What hosts ask for holds for all pieces that the process fetches."""
    return Rests()


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the piece: its place, its URL, and its image's sha256 where the list knows it."""

    at: int
    url: str
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came of a row; a row without an image says why, and whether that may pass.

    Attributes:
        url: Without user names and passwords.
        host: Its host; an empty text where it has none.
        status: img2dataset's word: success, failed_to_download, failed_to_resize.
        reason: None for a success.
        place: Where the image is in the spool.
        kind: The image's suffix.
        sha256: Of the bytes that were fetched.
        passing: Whether a failure may go away by itself.
        final_url: Where redirects led, without user names and passwords; None where none did, or nobody may know.
        wait: Seconds that the host asks to be left alone; None if it does not.
        connected: Whether a connection was made for it.
    """

    url: str
    host: str
    status: str
    reason: str | None = None
    place: Place | None = None
    kind: str = ""
    width: int | None = None
    height: int | None = None
    original_width: int | None = None
    original_height: int | None = None
    sha256: str | None = None
    passing: bool = False
    final_url: str | None = None
    wait: float | None = None
    connected: bool = True


def _not_asked(row: Row, host: str) -> Fetched:
    reason = "its host asked to wait longer than it was waited for"
    return Fetched(redact(row.url), host, "failed_to_download", reason, passing=True, connected=False)


def _led(listed: str, final: str | None) -> str | None:
    """Say where redirects led; None where none did."""
    return None if final in (None, listed) else redact(str(final))


class Crew:
    """Fetches rows, as many at a time as the request says; used as a context."""

    def __init__(self, request: IngestRequest, denied: Denied, spool: Spool, threads: int | None) -> None:
        self._request, self._denied, self._spool = request, denied, spool
        self._limits = Limits(
            request.body_bytes, request.seconds, pixels=request.pixels, loopback=request.loopback
        )
        let_open(request.connections)
        self._names = HostNames(request.loopback, at_once=request.connections)
        self._large = LargeBodies(_LARGE_BODIES)
        self._decoders = _decoders(threads or len(os.sched_getaffinity(0)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._names.close()

    def fetch(self, rows: Sequence[Row]) -> dict[int, Fetched]:
        """Fetch every row; those that failed in passing are tried again when all others are done.

        Returns:
            What came of each, by its place.

        Raises:
            OSError: If the disk is full.
        """
        found: dict[int, Fetched] = {}
        todo = list(rows)
        for _ in range(self._request.tries):
            self._names.forget_unknown()
            self._round(todo, found)
            todo = [row for row in todo if found[row.at].passing]
        return found

    def _round(self, rows: Sequence[Row], found: dict[int, Fetched]) -> None:
        by_place = {row.at: row for row in rows}
        asked = self._request
        turns = Turns(((row.at, host_of(row.url)) for row in rows), asked.per_host, _rests(), asked.patience)

        failed: list[BaseException] = []

        def work() -> None:
            try:
                while (turn := turns.take()) is not None:
                    at, host = turn
                    if turns.may_ask(host):
                        with self._large.place() as place:
                            one = self._one(by_place[at], host, place)
                    else:
                        one = _not_asked(by_place[at], host)
                    if one.wait is None or not turns.again(at, host, one.wait):
                        found[at] = one
                    turns.give_back(host)
            except BaseException as error:  # noqa: BLE001 - who waits for it raises it
                failed.append(error)
                turns.stop()

        count = min(self._request.connections, len(rows))
        # Who presses Ctrl-C does not wait for servers: threads that do end with the process, and bring nobody anything.
        threads = [
            threading.Thread(target=work, name=f"fetch-{number}", daemon=True) for number in range(count)
        ]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        finally:
            turns.stop()
        if failed:
            raise failed[0]

    def _one(self, row: Row, host: str, large: LargePlace) -> Fetched:
        shown, status, final, came = redact(row.url), "failed_to_download", None, None
        try:
            came = download(row.url, self._limits, self._names, self._denied.denies_url, large.take)
            content, final = came.content, _led(row.url, came.url)
            failpoint("fetch.body")
            digest = hashlib.sha256(content).hexdigest()
            if self._denied.denies_content(content, digest):
                final = None
                raise NotFetchedError("on a deny list")
            if row.sha256 not in (None, digest):
                raise NotFetchedError("the sha256 is not that of the list")
            status = "failed_to_resize"
            return replace(self._kept(shown, host, digest, content), final_url=final)
        except NotFetchedError as error:
            error.connected |= came is not None
            final = final or _led(row.url, error.url)
            asks = error.wait is not None and error.url is not None and host_of(error.url) == host
            return Fetched(
                shown,
                host,
                status,
                error.reason,
                passing=error.passing,
                final_url=final,
                wait=error.wait if asks else None,
                connected=error.connected,
            )

    def _kept(self, shown: str, host: str, digest: str, content: bytes) -> Fetched:
        asked = {"pixels": self._limits.pixels, "side": self._request.image_size}
        try:
            facts, kept = self._decoders.call(asked, content)
        except ChildFailedError as error:
            raise NotFetchedError(f"the decoder {error}") from error
        if "reason" in facts:
            raise NotFetchedError(str(facts["reason"]))
        place = self._spool.add(kept)
        return Fetched(shown, host, "success", place=place, sha256=digest, **facts)
