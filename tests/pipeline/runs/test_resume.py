"""Whatever happens to a run, running it again gives the bytes of an undisturbed run."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import whole_runs
from forked_commands import Forker
from small_sets import write_plan
from whole_runs import FinishedRun


def kill_and_finish(forked: Forker, world: Path, folder: Path, ripe: Callable[[float], bool]) -> bool:
    """Kill -9 the whole process group once it is ripe, told the seconds since the start, then run to the end.

    False if it was done by then.
    """
    command = whole_runs.arguments(world)
    alive = forked.kill(*command, folder=folder, ripe=ripe)
    status, said = forked(*command, folder=folder)
    assert status == 0, said
    return alive


@pytest.mark.slow
@pytest.mark.parametrize(
    "moment", [pytest.param(0.1, marks=pytest.mark.soak), 0.5, pytest.param(0.9, marks=pytest.mark.soak)]
)
def test_kill_and_rerun_give_the_same_bytes(
    small_world: Path, tmp_path: Path, finished_run: FinishedRun, forked: Forker, moment: float
) -> None:
    digests = whole_runs.committed(finished_run.out)

    def ripe(_: float) -> bool:
        return len(whole_runs.committed(tmp_path / "out")) >= moment * len(digests)

    assert kill_and_finish(forked, small_world, tmp_path, ripe)
    assert whole_runs.committed(tmp_path / "out") == digests
    assert not list((tmp_path / "out" / "attempts").glob("*"))


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(25))
def test_kill_at_a_random_moment(
    small_world: Path, tmp_path: Path, finished_run: FinishedRun, forked: Forker, seed: int
) -> None:
    """Anywhere from the first unit to beyond the end: a forked run takes less than one that starts anew."""
    digests, seconds = whole_runs.committed(finished_run.out), finished_run.seconds
    moment = random.Random(seed).uniform(0.0, 1.0)
    alive = kill_and_finish(forked, small_world, tmp_path, lambda elapsed: elapsed >= seconds * moment)
    print(
        f"seed {seed}: {'killed' if alive else 'was done'} after {seconds * moment:.2f} s of {seconds:.2f} s"
    )
    assert whole_runs.committed(tmp_path / "out") == digests


def begun(sets: Path, failpoint: str) -> tuple[list[str], subprocess.Popen[str]]:
    """Start a run, and wait until it holds the lock of its output."""
    command = ["run", str(write_plan(sets))]
    first = whole_runs.start(command, sets, NEARFAR_FAILPOINT=failpoint)
    deadline = time.monotonic() + 60
    while not (sets / "out" / "plan.lock.yaml").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    return command, first


def test_a_second_run_at_once_is_told_so(sets: Path) -> None:
    command, first = begun(sets, "commit.begin=sleep:4@1")
    second = whole_runs.finish(command, sets)
    _, errors = first.communicate(timeout=300)
    assert first.returncode == 0, errors
    assert second.returncode == 2
    assert str(first.pid) in second.stderr
    assert "Traceback" not in second.stderr


def test_terminated_runs_say_that_they_resume(sets: Path) -> None:
    _, process = begun(sets, "commit.begin=sleep:30@1")
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "run the same command again" in errors
    assert "Traceback" not in errors
