"""A proxy between a client and a store's server that makes requests fail, as networks and stores do."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FAULTS = ("503", "409", "lost", "409 after", "shortened", "broken off", "refused")
"""What a request may meet:

* `503`, `409`: that answer, and the server hears nothing of it.
* `lost`: the server does it, and no answer comes back; `409 after`: it does it, and the answer is a conflict.
* `shortened`: half of the body arrives, and the server is told that this is all.
* `broken off`: half of the answer's body comes, then the connection ends.
* `refused`: the connection ends before anything is sent on.
"""


@dataclass
class Faults:
    """Faults to come, and what was asked for."""

    server: int
    port: int = 0
    asked: list[tuple[str, str]] = field(default_factory=list)
    _waiting: list[tuple[str, str, str]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    before: Callable[[str, str], None] = lambda method, path: None

    def add(self, fault: str, method: str, part: str = "", times: int = 1) -> None:
        """Let the next `times` requests of a method, with `part` in their path, meet a fault."""
        assert fault in FAULTS
        with self._lock:
            self._waiting += [(fault, method, part)] * times

    def left(self) -> int:
        """Count the faults that no request has met yet."""
        return len(self._waiting)

    def of(self, method: str, path: str) -> str:
        """Take the first fault that is meant for a request; an empty text for none."""
        with self._lock:
            self.asked.append((method, path))
            for one in self._waiting:
                if one[1] == method and one[2] in path:
                    self._waiting.remove(one)
                    return one[0]
        return ""


class _Handler(BaseHTTPRequestHandler):
    faults: Faults
    protocol_version = "HTTP/1.1"

    def serve(self) -> None:
        """Pass one request on, or let it meet its fault."""
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.faults.before(self.command, self.path)
        fault = self.faults.of(self.command, self.path)
        self.close_connection = True
        if fault == "refused":
            return
        if fault in ("503", "409"):
            self._answer(
                int(fault), {}, _error({"503": "SlowDown", "409": "ConditionalRequestConflict"}[fault])
            )
            return
        if fault == "shortened":
            body = body[: len(body) // 2]
        try:
            status, headers, content = self._ask(body)
        except OSError:
            return  # the server is down: so is the connection
        if fault == "lost":
            return
        if fault == "409 after":
            self._answer(409, {}, _error("ConditionalRequestConflict"))
            return
        self._answer(status, headers, content, broken=fault == "broken off")

    def _ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.faults.server, timeout=60)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("content-length", "connection"):
                    connection.putheader(name, value)
            if body or self.command in ("PUT", "POST"):
                connection.putheader("content-length", str(len(body)))
            connection.endheaders(body or None)
            answer = connection.getresponse()
            return answer.status, dict(answer.headers.items()), answer.read()
        finally:
            connection.close()

    def _answer(self, status: int, headers: dict[str, str], content: bytes, broken: bool = False) -> None:
        self.send_response_only(status)
        own = {"content-length", "connection", "transfer-encoding"}
        for name, value in headers.items():
            if name.lower() not in own:
                self.send_header(name, value)
        length = next((v for k, v in headers.items() if k.lower() == "content-length"), str(len(content)))
        self.send_header("Content-Length", length if self.command == "HEAD" else str(len(content)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: len(content) // 2] if broken else content)

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


def _error(code: str) -> bytes:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>of the test</Message></Error>".encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    """With few, of sixteen who connect together one waits a second for a second try."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no matter."""


@contextmanager
def proxied(server: int) -> Iterator[Faults]:
    """Stand between a client and the server on a port of loopback."""
    faults = Faults(server)
    methods = {f"do_{method}": _Handler.serve for method in ("GET", "PUT", "POST", "HEAD", "DELETE")}
    handler = type("Handler", (_Handler,), {"faults": faults, **methods})
    with _Server(("127.0.0.1", 0), handler) as proxy:
        faults.port = proxy.server_address[1]
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield faults
        finally:
            proxy.shutdown()
            thread.join()
