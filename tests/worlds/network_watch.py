"""Who is asked for anything while a block runs: nobody gets an answer but pipes of this machine."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import pytest


@contextmanager
def watched() -> Iterator[list[object]]:
    """Refuse every connection and look-up of a name in this process; gives the list of those that were tried."""
    asked: list[object] = []
    connect = socket.socket.connect

    def watch(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX:
            refuse(address)
        connect(self, address)

    def refuse(*address: object, **more: object) -> NoReturn:
        asked.append(address)
        raise OSError("no network here")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", watch)
        patch.setattr(socket.socket, "connect_ex", refuse)
        for name in ("getaddrinfo", "gethostbyname", "create_connection"):
            patch.setattr(socket, name, refuse)
        yield asked
