"""Whatever happens to a run, running it again gives the bytes of an undisturbed run."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import time
from pathlib import Path

import pytest
import runs


@pytest.fixture(scope="module")
def undisturbed(small_world: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], float]:
    folder = tmp_path_factory.mktemp("undisturbed")
    out = folder / "out"
    began = time.monotonic()
    result = runs.finish(runs.arguments(small_world), folder)
    assert result.returncode == 0, result.stderr
    digests = runs.committed(out)
    for path, digest in digests.items():
        assert hashlib.sha256((out / path).read_bytes()).hexdigest() == digest
    assert any(path.startswith("splits/") for path in digests)
    assert "report/report.html" in digests
    return digests, time.monotonic() - began


def kill_and_finish(world: Path, folder: Path, delay: float) -> bool:
    """Kill -9 the whole process group after `delay` seconds, then run to the end; False if it was done by then."""
    process = runs.start(runs.arguments(world), folder)
    time.sleep(delay)
    alive = process.poll() is None
    if alive:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    result = runs.finish(runs.arguments(world), folder)
    assert result.returncode == 0, result.stderr
    return alive


@pytest.mark.slow
@pytest.mark.parametrize("moment", [0.45, 0.65, 0.85])
def test_kill_and_rerun_give_the_same_bytes(
    small_world: Path, tmp_path: Path, undisturbed: tuple[dict[str, str], float], moment: float
) -> None:
    digests, seconds = undisturbed
    assert kill_and_finish(small_world, tmp_path, seconds * moment)
    assert runs.committed(tmp_path / "out") == digests
    assert not list((tmp_path / "out" / "attempts").glob("*"))


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(25))
def test_kill_at_a_random_moment(
    small_world: Path, tmp_path: Path, undisturbed: tuple[dict[str, str], float], seed: int
) -> None:
    digests, seconds = undisturbed
    moment = random.Random(seed).uniform(0.2, 1.0)
    alive = kill_and_finish(small_world, tmp_path, seconds * moment)
    print(
        f"seed {seed}: {'killed' if alive else 'was done'} after {seconds * moment:.2f} s of {seconds:.2f} s"
    )
    assert runs.committed(tmp_path / "out") == digests


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2", "3"])
def test_workers_change_no_byte(
    small_world: Path, tmp_path: Path, undisturbed: tuple[dict[str, str], float], workers: str
) -> None:
    result = runs.finish(runs.arguments(small_world, "--workers", workers), tmp_path)
    assert result.returncode == 0, result.stderr
    assert runs.committed(tmp_path / "out") == undisturbed[0]


@pytest.mark.slow
def test_a_second_run_at_once_is_told_so(small_world: Path, tmp_path: Path) -> None:
    command = runs.arguments(small_world)
    first = runs.start(command, tmp_path, NEARFAR_FAILPOINT="commit.begin=sleep:8@1")
    deadline = time.monotonic() + 60
    while not (tmp_path / "out" / "plan.lock.yaml").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    second = runs.finish(command, tmp_path)
    _, errors = first.communicate(timeout=300)
    assert first.returncode == 0, errors
    assert second.returncode == 2
    assert str(first.pid) in second.stderr
    assert "Traceback" not in second.stderr


@pytest.mark.slow
def test_terminated_runs_say_that_they_resume(small_world: Path, tmp_path: Path) -> None:
    process = runs.start(
        runs.arguments(small_world), tmp_path, NEARFAR_FAILPOINT="commit.begin=sleep:30@1"
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "out" / "plan.lock.yaml").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "run the same command again" in errors
    assert "Traceback" not in errors
