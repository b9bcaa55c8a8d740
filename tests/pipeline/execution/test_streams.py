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
def test_few_words_that_find_no_room_are_missed_too(tmp_path: Path) -> None:
    write_sets(tmp_path)
    plan = write_plan(tmp_path, splits={})
    assert shell(f"run {plan}").returncode == 0
    done = shell(f"status {tmp_path / 'out'} > /dev/full")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr


def test_a_reader_that_leaves_is_no_error() -> None:
    assert shell("schema | head -c 0").stderr == ""


@pytest.mark.parametrize(
    "closed", [*(pytest.param(one, marks=pytest.mark.soak) for one in ("2>&-", ">&-")), "<&- >&- 2>&-"]
)
def test_closed_streams_stop_nothing(tmp_path: Path, closed: str) -> None:
    write_sets(tmp_path)
    plan, out = write_plan(tmp_path), tmp_path / "out"
    assert shell(f"run {plan} {closed}").returncode == 0
    assert (out / "report" / "report.html").is_file()
    assert shell(f"verify {out}").returncode == 0
