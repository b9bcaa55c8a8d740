"""However many processes work on a run, it gives the bytes of an undisturbed one."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import whole_runs
from whole_runs import FinishedRun


@pytest.mark.slow
def test_what_records_say_is_what_lies_there(finished_run: FinishedRun) -> None:
    digests = whole_runs.committed(finished_run.out)
    for path, digest in digests.items():
        assert hashlib.sha256((finished_run.out / path).read_bytes()).hexdigest() == digest
    assert any(path.startswith("splits/") for path in digests)
    assert "report/report.html" in digests


@pytest.mark.slow
@pytest.mark.parametrize(
    "workers", [pytest.param("1", marks=pytest.mark.soak), "2", pytest.param("3", marks=pytest.mark.soak)]
)
def test_workers_change_no_byte(
    small_world: Path, tmp_path: Path, finished_run: FinishedRun, workers: str
) -> None:
    result = whole_runs.finish(whole_runs.arguments(small_world, "--workers", workers), tmp_path)
    assert result.returncode == 0, result.stderr
    assert whole_runs.committed(tmp_path / "out") == whole_runs.committed(finished_run.out)
