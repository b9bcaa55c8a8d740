"""A run that embeds, measures, decides, reports and exports opens no connection: only fetching does."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, NoReturn

import pytest
from purge_pool import write_purgeable
from whole_runs import Run


def test_a_run_asks_nobody_for_anything(tmp_path: Path, cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither nearfar nor a library that it imports looks a name up, or connects to more than a pipe."""
    asked: list[object] = []
    connect = socket.socket.connect

    def watched(self: socket.socket, address: Any) -> None:
        if self.family == socket.AF_UNIX:
            connect(self, address)
            return
        refused(address)

    def refused(*address: object, **more: object) -> NoReturn:
        asked.append(address)
        raise OSError("no network here")

    monkeypatch.setattr(socket.socket, "connect", watched)
    monkeypatch.setattr(socket.socket, "connect_ex", refused)
    for name in ("getaddrinfo", "gethostbyname", "create_connection"):
        monkeypatch.setattr(socket, name, refused)
    write_purgeable(tmp_path, str(tmp_path / "out"))
    code, _, wrong = cli("run", str(tmp_path / "plan.yaml"), "--set", "export.whole.seed=0")
    assert code == 0, wrong
    assert (tmp_path / "out" / "shards" / "whole" / "sizes.json").is_file()
    assert asked == []
    with pytest.raises(OSError, match="no network"):  # the watch is awake
        socket.create_connection(("127.0.0.1", 9))
