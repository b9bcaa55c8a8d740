"""A web server on loopback that does what strangers' servers do, and counts who asked."""

from __future__ import annotations

import contextlib
import io
import struct
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from PIL import Image


def picture(number: int = 0, form: str = "JPEG", size: tuple[int, int] = (64, 48), **more: object) -> bytes:
    """An image that differs by its number."""
    stream = io.BytesIO()
    Image.new("RGB", size, (number % 256, number // 256 % 256, 80)).save(stream, form, **more)
    return stream.getvalue()


def turned() -> Image.Exif:
    """What a camera writes that was held on its side."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def bomb() -> bytes:
    """A PNG of few bytes that says 20,000 x 20,000 pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(20_001) * 2_000, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def many_scans(times: int) -> bytes:
    """A JPEG whose last scan stands there so many times: each costs a pass over all pixels, and few bytes."""
    whole = picture(1, progressive=True)
    start, end = whole.rindex(b"\xff\xda"), whole.rindex(b"\xff\xd9")
    return whole[:start] + whole[start:end] * times + whole[end:]


class Handler(BaseHTTPRequestHandler):
    """`/pictures/N.jpg` is an image; `/flaky/N.jpg` one from the second time on; other paths misbehave."""

    server: Any
    bodies: ClassVar = {
        "/bomb.png": bomb(),
        "/truncated.jpg": picture(1, size=(300, 300))[:-200],
        "/vector.svg": b'<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>',
        "/page.html": b"<html></html>",
        "/empty.jpg": b"",
        "/animated.gif": picture(7, "GIF"),
        "/tiff.tif": picture(7, "TIFF"),
        "/large.jpg": picture(9, size=(900, 300), exif=turned(), comment=b"by somebody"),
    }
    places: ClassVar = {
        "/to-private": "http://10.0.0.1/a.jpg",
        "/to-metadata": "http://169.254.169.254/latest/meta-data/",
        "/to-mapped": "http://[::ffff:10.0.0.1]/a.jpg",
        "/to-file": "file:///etc/passwd",
        "/to-password": "http://user:word@127.0.0.1/a.jpg",
        "/to-itself": "/to-itself",
        "/to-picture": "/pictures/3.jpg",
        "/to-half-an-address": "http://[::1",
        "/to-no-host": "http://a b/",
        "/to-nowhere": "",
        "/to-far": "/" + "x" * 9000,
        "/to-picture-noai": "/pictures/3.jpg",
    }
    headers_of: ClassVar = {
        "/noai.jpg": ("X-Robots-Tag", "noai, noimageai"),
        "/noindex.jpg": ("X-Robots-Tag", "nearfar: noindex"),
        "/reserved.jpg": ("tdm-reservation", "1"),
        "/other-robot.jpg": ("X-Robots-Tag", "otherbot: noai"),
        "/squeezed.jpg": ("Content-Encoding", "gzip"),
        "/plain.jpg": ("Content-Encoding", "utf-8"),
        "/to-picture-noai": ("X-Robots-Tag", "noai"),
    }

    bodies["/scans.jpg"] = many_scans(101)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer."""
        with self.server.lock:
            self.server.asked[self.path] += 1
            times = self.server.asked[self.path]
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._answer(times)

    def _answer(self, times: int) -> None:
        if self.path.startswith("/pictures/"):
            self._send(picture(int(self.path[10:].split(".")[0])))
        elif self.path.startswith("/flaky/"):
            if times <= self.server.failures:
                self.send_error(503)
            else:
                self._send(picture(int(self.path[7:].split(".")[0])))
        elif self.path.startswith("/busy/"):
            with self.server.lock:
                self.server.busy -= 1
                busy = self.server.busy >= 0
            if busy:
                self.send_response(429)
                self.send_header(*self.server.asks)
                self.end_headers()
            else:
                self._send(picture(int(self.path[6:].split(".")[0])))
        elif self.path in self.server.own:
            self._send(self.server.own[self.path])
        elif self.path in self.bodies:
            self._send(self.bodies[self.path])
        elif self.path in self.headers_of and self.path not in self.places:
            self._send(picture(5), *self.headers_of[self.path])
        elif self.path in self.places:
            self.send_response(302)
            self.send_header("Location", self.places[self.path])
            if self.path in self.headers_of:
                self.send_header(*self.headers_of[self.path])
            self.end_headers()
        elif self.path in (
            "/drip.jpg",
            "/silence.jpg",
            "/endless.jpg",
            "/short.jpg",
            "/liar.jpg",
            "/garbage",
            "/negative.jpg",
            "/gone.jpg",
            "/half-a-piece.jpg",
            "/half-a-header.jpg",
        ):
            getattr(self, f"_{self.path[1:].split('.')[0].replace('-', '_')}")()
        else:
            self.send_error(404)

    def _send(self, body: bytes, *header: str) -> None:
        self.send_response(200)
        if header:
            self.send_header(*header)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _drip(self) -> None:
        """Send one byte at a time, never long enough apart for a time-out between bytes."""
        self.send_response(200)
        self.end_headers()
        for byte in picture(1) * 100:
            self.wfile.write(bytes([byte]))
            time.sleep(0.05)

    def _silence(self) -> None:
        time.sleep(5)

    def _endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        for _ in range(100_000):
            self.wfile.write(bytes(65_536))

    def _short(self) -> None:
        body = picture(1)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body) + 100))
        self.end_headers()
        self.wfile.write(body)

    def _liar(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(1 << 40))
        self.end_headers()
        self.wfile.write(picture(1))

    def _negative(self) -> None:
        """Send a piece of minus one bytes, which has no end."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n")
        for _ in range(100_000):
            self.wfile.write(bytes(65_536))

    def _gone(self) -> None:
        """Hang up."""

    def _half_a_piece(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nab")

    def _half_a_header(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Le")

    def _garbage(self) -> None:
        self.wfile.write(b"\x00\xff no http at all\r\n\r\n")


class Server(ThreadingHTTPServer):
    """The server, with what was asked of it."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: Counter[str] = Counter()
        self.lock = threading.Lock()
        self.failures = 1
        self.busy = 0
        """How often a path of `/busy/` asks to wait, in all, and the header that it does it with."""
        self.asks = ("Retry-After", "soon")
        self.own: dict[str, bytes] = {}
        """What a test serves itself, by path."""

    def url(self, path: str) -> str:
        """Name what lies at a path."""
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


@contextlib.contextmanager
def hostile_server() -> Iterator[Server]:
    """Serve for the length of the block."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
