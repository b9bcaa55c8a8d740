"""What `ingest.py` fetches from: a server that answers from memory, in a process of its own, on several addresses."""

from __future__ import annotations

import asyncio
import multiprocessing
import re
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

HOSTS = tuple(f"127.0.0.{number}" for number in range(1, 9))
_ASKED = re.compile(rb"GET /(\d+)\.jpg ")


@contextmanager
def serving(bodies: list[bytes]) -> Iterator[int]:
    """Serve `bodies[n]` at `/n.jpg` of every host for the length of the block; gives the port."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=_serve, args=(bodies, there), daemon=True)
    process.start()
    try:
        yield int(here.recv())
    finally:
        process.terminate()
        process.join()


def _serve(bodies: list[bytes], told: Connection) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
    answers = [head % len(body) + body for body in bodies]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked = _ASKED.match(await reader.readuntil(b"\r\n\r\n"))
            if asked is not None:
                writer.write(answers[int(asked[1])])
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # who asked went away
        finally:
            writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(answer, HOSTS[0], 0, backlog=1024)
        port = server.sockets[0].getsockname()[1]
        for host in HOSTS[1:]:
            await asyncio.start_server(answer, host, port, backlog=1024)
        told.send(port)
        await server.serve_forever()

    asyncio.run(serve())
