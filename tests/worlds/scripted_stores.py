"""Servers on loopback that answer what a test wants, or keep conditions as Google's store does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

Answer = tuple[int, dict[str, str], bytes]
Answering = Callable[[BaseHTTPRequestHandler, bytes], Answer]
_WHEN = {"Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}


class _Handler(BaseHTTPRequestHandler):
    answering: Answering
    protocol_version = "HTTP/1.1"

    def serve(self) -> None:
        """Answer one request."""
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        status, headers, content = type(self).answering(self, body)
        self.send_response_only(status)
        for name, value in ({"Content-Length": str(len(content))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


@contextmanager
def scripted(answering: Answering) -> Iterator[str]:
    """Serve on loopback for the length of the block; gives the endpoint."""
    methods = {f"do_{method}": _Handler.serve for method in ("GET", "PUT", "POST", "HEAD", "DELETE")}
    handler = type("Scripted", (_Handler,), {"answering": staticmethod(answering), **methods})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def error(status: int, code: str) -> Answer:
    """Refuse as S3 does."""
    content = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>of the test</Message></Error>"
    return status, {}, content.encode()


def listing(names: list[str], sizes: list[int] | None = None) -> Answer:
    """List objects as S3 does, and Google after it."""
    rows = "".join(
        f'<Contents><Key>{escape(name)}</Key><Size>{size}</Size><ETag>"x"</ETag>'
        "<LastModified>2024-01-01T00:00:00.000Z</LastModified></Contents>"
        for name, size in zip(names, sizes or [0] * len(names), strict=True)
    )
    said = "<Name>bucket</Name><IsTruncated>false</IsTruncated>"
    return 200, {}, f"<?xml version='1.0'?><ListBucketResult>{said}{rows}</ListBucketResult>".encode()


class GoogleStore:
    """Objects by name, each with a number of its state, by which Google's conditional writes go."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, int]] = {}
        self._written = 0
        self._turn = threading.Lock()

    def __call__(self, asked: BaseHTTPRequestHandler, body: bytes) -> Answer:
        """Answer one request."""
        parts = urlsplit(asked.path)
        name = unquote(parts.path).removeprefix("/bucket").lstrip("/")
        with self._turn:
            if not name:
                prefix = parse_qs(parts.query).get("prefix", [""])[0]
                found = sorted(one for one in self.objects if one.startswith(prefix))
                return listing(found, [len(self.objects[one][0]) for one in found])
            content, state = self.objects.get(name, (b"", 0))
            if asked.command == "PUT":
                return self._put(name, body, state, asked.headers.get("x-goog-if-generation-match"))
            if not state:
                return error(404, "NoSuchKey")
            if asked.command == "DELETE":
                del self.objects[name]
                return 204, {}, b""
            return 200, self._headers(state) | {"Content-Length": str(len(content))}, content

    def _put(self, name: str, body: bytes, state: int, only: str | None) -> Answer:
        if only is not None and int(only) != state:
            return error(412, "PreconditionFailed")
        self._written += 1
        self.objects[name] = body, self._written
        return 200, self._headers(self._written), b""

    def _headers(self, state: int) -> dict[str, str]:
        return {"ETag": f'"{state}"', "x-goog-generation": str(state), **_WHEN}
