"""An export and a purge that are killed at random moments, and given again, end in the bytes of an undisturbed one.

At named places that is shown by their own tests; runs and fetches are killed at random by those of theirs.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import whole_runs
from purge_pool import write_purgeable

SEEDS = pytest.mark.parametrize("seed", range(25))
PASSING = {".lock", "log.jsonl", "inputs.json", "shards.json", "plan.lock.yaml"}
"""What holds times and processes, or is written again by the run that follows."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a plan and its finished run, without an export."""
    folder = tmp_path_factory.mktemp("killed")
    write_purgeable(folder, "out")
    done = whole_runs.finish(["run", "plan.yaml"], folder)
    assert done.returncode == 0, done.stderr
    rows = pq.read_table(folder / "out" / "samples" / "pool").to_pylist()
    (folder / "uids.txt").write_text("".join(f"{row['uid']}\n" for row in rows[::7]))
    return folder


def files_of(out: Path) -> dict[str, str]:
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name not in PASSING
    }


def undisturbed(finished: Path, commands: list[list[str]]) -> tuple[dict[str, str], float]:
    """Give commands in a copy of the run: what is there then, and how long the first took."""
    name, seconds = f"whole {commands[0][0]}", []
    folder = finished / name
    if not folder.exists():
        shutil.copytree(finished / "out", folder / "out")
        for path in ("pool", "reference", "sketch", "plan.yaml", "uids.txt"):
            (folder / path).symlink_to(finished / path)
        for command in commands:
            began = time.monotonic()
            done = whole_runs.finish(command, folder)
            assert done.returncode == 0, done.stderr
            seconds.append(time.monotonic() - began)
        (folder / "seconds").write_text(str(seconds[0]))
    return files_of(folder / "out"), float((folder / "seconds").read_text())


def kill(command: list[str], folder: Path, moment: float) -> None:
    process, began = whole_runs.start(command, folder), time.monotonic()
    while process.poll() is None and time.monotonic() - began < moment:
        time.sleep(0.01)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@pytest.mark.soak
@SEEDS
@pytest.mark.parametrize(
    "commands",
    [
        [["export", "out", "whole", "--samples-per-shard", "4"]],
        [["purge", "out", "--list", "uid=uids.txt"], ["run", "plan.yaml"]],
    ],
    ids=("export", "purge"),
)
def test_killed_at_any_moment_it_ends_in_the_same_bytes(
    finished: Path, tmp_path: Path, commands: list[list[str]], seed: int
) -> None:
    expected, seconds = undisturbed(finished, commands)
    shutil.copytree(finished / "out", tmp_path / "out")
    for path in ("pool", "reference", "sketch", "plan.yaml", "uids.txt"):
        (tmp_path / path).symlink_to(finished / path)
    kill(commands[0], tmp_path, random.Random(seed).uniform(0.3, 0.95) * seconds)
    for command in commands:
        done = whole_runs.finish(command, tmp_path)
        assert done.returncode == 0, done.stderr
    assert files_of(tmp_path / "out") == expected
