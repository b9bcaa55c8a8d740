from __future__ import annotations

import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from indexes.errors import OutputError
from pipeline.commit import run_lock as lock

HOLD = """
import sys
from pathlib import Path
from indexes.errors import OutputError
from pipeline.commit.run_lock import hold
try:
    with hold(Path(sys.argv[1])):
        print("held", flush=True)
        sys.stdin.readline()
except OutputError as error:
    print(f"lost: {error}", flush=True)
    raise SystemExit(error.exit_code)
"""


def start(out: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", HOLD, str(out)]
    return subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_of_two_runs_exactly_one_wins(tmp_path: Path) -> None:
    runs = [start(tmp_path / "out") for _ in range(2)]
    lines = [first_line(run) for run in runs]
    assert sorted(line[:4] for line in lines) == ["held", "lost"]
    winner, loser = sorted(range(2), key=lambda i: lines[i][:4])
    assert runs[loser].wait(20) == 2
    message = lines[loser]
    assert f"process {runs[winner].pid} on host {socket.gethostname()}" in message
    assert "Wait for it to end, stop it, or name another output" in message
    held = lock.holder(tmp_path / "out")
    assert held is not None
    assert held.pid == runs[winner].pid
    runs[winner].communicate("\n", timeout=20)
    runs[loser].communicate(timeout=20)
    assert runs[winner].returncode == 0
    assert lock.holder(tmp_path / "out") is None


def test_a_killed_run_leaves_the_folder_free_and_another_token(tmp_path: Path) -> None:
    run = start(tmp_path)
    assert first_line(run) == "held\n"
    before = lock.epoch(tmp_path)
    run.send_signal(signal.SIGKILL)
    run.communicate(timeout=20)
    with lock.hold(tmp_path) as mine:
        assert mine.pid == os.getpid()
        assert lock.epoch(tmp_path) == mine.token != before
    assert lock.epoch(tmp_path) == mine.token


def test_a_folder_without_a_run(tmp_path: Path) -> None:
    for out in (tmp_path, tmp_path / "absent"):
        assert lock.holder(out) is None
        assert lock.epoch(out) is None
    (tmp_path / ".lock").write_text("{")
    assert lock.epoch(tmp_path) is None


def test_a_holder_that_has_not_signed_yet(tmp_path: Path) -> None:
    with (tmp_path / ".lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert lock.holder(tmp_path) == lock.Holder(0, "unknown", "")
        with pytest.raises(OutputError, match="another process"), lock.hold(tmp_path):
            pass


def test_linked_lock_is_refused(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / ".lock").symlink_to(tmp_path / "victim")
    with pytest.raises(OutputError, match="symbolic link"), lock.hold(tmp_path):
        pass
    assert (tmp_path / "victim").read_text() == "precious"


@pytest.mark.parametrize(("number", "kind"), [(errno.ENOLCK, OutputError), (errno.EIO, OSError)])
def test_file_system_without_locks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int, kind: type[Exception]
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    expected = "has no file locks" if kind is OutputError else os.strerror(number)
    with pytest.raises(kind, match=expected), lock.hold(tmp_path):
        pass
