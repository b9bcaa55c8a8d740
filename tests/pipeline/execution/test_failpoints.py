from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from indexes.errors import PlanError
from pipeline.execution.failpoints import failpoint


def test_off_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEARFAR_FAILPOINT", raising=False)
    monkeypatch.delenv("NEARFAR_FAILPOINT_RECORD", raising=False)
    failpoint("a.b")


@pytest.mark.parametrize(
    ("action", "number"), [("enospc", errno.ENOSPC), ("edquot", errno.EDQUOT), ("eio", errno.EIO)]
)
def test_os_errors_carry_their_number(monkeypatch: pytest.MonkeyPatch, action: str, number: int) -> None:
    monkeypatch.setenv("NEARFAR_FAILPOINT", f"a.b={action}")
    failpoint("a.c")
    with pytest.raises(OSError, match=r"failpoint a\.b") as caught:
        failpoint("a.b")
    assert caught.value.errno == number


@pytest.mark.parametrize(("action", "kind"), [("memory", MemoryError), ("error", RuntimeError)])
def test_exceptions(monkeypatch: pytest.MonkeyPatch, action: str, kind: type[Exception]) -> None:
    monkeypatch.setenv("NEARFAR_FAILPOINT", f"other=enospc, a.b={action}")
    with pytest.raises(kind, match=r"failpoint a\.b"):
        failpoint("a.b")


def test_only_the_chosen_turn_fires(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEARFAR_FAILPOINT", "turn.point=error@3")
    failpoint("turn.point")
    failpoint("turn.point")
    with pytest.raises(RuntimeError):
        failpoint("turn.point")
    failpoint("turn.point")


def test_sleep_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEARFAR_FAILPOINT", "a.b=sleep:0.05")
    begin = time.monotonic()
    failpoint("a.b")
    assert time.monotonic() - begin >= 0.05


def test_unknown_action_lists_the_actions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEARFAR_FAILPOINT", "a.b=explode")
    with pytest.raises(PlanError, match=r"unknown failpoint action 'explode'.*edquot.*kill.*sleep"):
        failpoint("a.b")


def test_record_lists_every_point_in_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NEARFAR_FAILPOINT_RECORD", str(tmp_path / "points"))
    for name in ("a.b", "c.d", "a.b"):
        failpoint(name)
    assert (tmp_path / "points").read_text() == "a.b\nc.d\na.b\n"


@pytest.mark.parametrize(("action", "number"), [("kill", signal.SIGKILL), ("term", signal.SIGTERM)])
def test_signals_end_the_process(action: str, number: int) -> None:
    code = "from pipeline.execution.failpoints import failpoint; failpoint('a.b'); print('alive')"
    environment = {
        **os.environ,
        "NEARFAR_FAILPOINT": f"a.b={action}",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
    assert ended.returncode == -number
    assert ended.stdout == b""
