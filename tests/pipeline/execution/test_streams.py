"""Ctrl-C and SIGTERM say that a run resumes; full, closed and broken streams end in words, not in a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import whole_runs
from small_sets import write_plan, write_sets
from whole_runs import Run


@pytest.mark.parametrize(
    ("action", "code", "word"), [("int", 130, "interrupted"), ("term", 128 + signal.SIGTERM, "terminated")]
)
def test_a_stopped_run_says_that_it_resumes(tmp_path: Path, action: str, code: int, word: str) -> None:
    write_sets(tmp_path)
    plan = str(write_plan(tmp_path))
    stopped = whole_runs.finish_cold(["run", plan], NEARFAR_FAILPOINT=f"commit.begin={action}@3")
    assert stopped.returncode == code, stopped.stderr
    assert stopped.stderr.splitlines()[-1] == (
        f"nearfar: {word}; run the same command again to go on where it stopped"
    )
    assert not list((tmp_path / "out" / "attempts").iterdir())


LOADING = """
import os, signal, sys
asked = sys.argv.pop(1)
class Pressed:
    def find_spec(self, name, path=None, target=None):
        if name == asked:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Pressed())
from pipeline.cli import main
main()
"""


@pytest.mark.parametrize(
    "module",
    ["pipeline.command_line.application", "typer", "pyarrow", "pipeline.command_line.status_command"],
)
def test_ctrl_c_while_a_module_is_loaded_ends_in_one_line(tmp_path: Path, module: str) -> None:
    """From the program's first own line on; a library may do what it likes with an exception in the middle of it."""
    done = subprocess.run(
        [sys.executable, "-c", LOADING, module, "status", str(tmp_path)],
        cwd=whole_runs.ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 130
    assert done.stderr == "nearfar: interrupted; run the same command again to go on where it stopped\n"


def test_in_the_background_of_a_shell_ctrl_c_is_for_others(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        done = subprocess.run(
            [sys.executable, "-c", LOADING, "typer", "--version"],
            cwd=whole_runs.ROOT,
            capture_output=True,
            text=True,
            timeout=120,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    assert (done.returncode, done.stderr) == (0, "")


def shell(arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", f'"{sys.executable}" -m pipeline.cli {arguments}'],
        cwd=whole_runs.ROOT,
        env=os.environ | {"PYTHONWARNINGS": "error"},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize(
    "command",
    ["schema", *(pytest.param(more, marks=pytest.mark.soak) for more in ("doctor --json", "--help"))],
)
def test_a_full_standard_output_is_said(command: str) -> None:
    done = shell(f"{command} > /dev/full")
    assert done.returncode == 1
    assert done.stderr == "nearfar: cannot write to standard output: No space left on device\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_few_words_that_find_no_room_are_missed_too(finished_sets: Path) -> None:
    done = shell(f"status {finished_sets / 'out'} > /dev/full")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr


def test_a_reader_that_leaves_is_no_error() -> None:
    assert shell("schema | head -c 0").stderr == ""


@pytest.mark.parametrize(
    "closed", [*(pytest.param(one, marks=pytest.mark.soak) for one in ("2>&-", ">&-")), "<&- >&- 2>&-"]
)
def test_closed_streams_stop_nothing(tmp_path: Path, cli: Run, closed: str) -> None:
    write_sets(tmp_path)
    plan, out = write_plan(tmp_path), tmp_path / "out"
    assert shell(f"run {plan} {closed}").returncode == 0
    assert (out / "report" / "report.html").is_file()
    assert cli("verify", str(out))[0] == 0
