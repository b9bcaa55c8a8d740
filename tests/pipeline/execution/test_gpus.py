"""Which GPU each worker process is shown; none is needed to find out."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from indexes.errors import RunFailedError
from pipeline.execution import gpus
from pipeline.execution.executors import Task, open_executor
from pipeline.plan import load_plan
from pipeline.run import RunOptions, open_run


@pytest.fixture
def devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for /dev, with the files of a driver and no GPU."""
    monkeypatch.delenv(gpus.VARIABLE, raising=False)
    monkeypatch.setattr(gpus, "_DEVICES", tmp_path)
    for name in ("nvidiactl", "nvidia-uvm", "nvidia-modeset", "null"):
        (tmp_path / name).touch()
    return tmp_path


def add(devices: Path, *numbers: int) -> None:
    for number in numbers:
        (devices / f"nvidia{number}").touch()


def shown(workers: int, device: str = "auto") -> tuple[list[str | None], bool]:
    """What each worker process of a cluster has in CUDA_VISIBLE_DEVICES, and whether any has loaded torch."""
    found: dict[int, dict[str, object]] = {}
    with open_executor(workers, device=device) as executor:
        until = time.monotonic() + 60
        while len(found) < workers:
            assert time.monotonic() < until
            tasks = [Task("executor_tasks:whereabouts", {}, f"{i}") for i in range(4 * workers)]
            found |= {place["pid"]: place for _, place in executor.run(tasks)}
    return sorted(str(place["gpus"]) for place in found.values()), any(p["torch"] for p in found.values())


def test_gpus_are_counted_by_their_device_files(devices: Path) -> None:
    assert gpus.to_share("auto") == []
    add(devices, 2, 5, 11)
    assert gpus.to_share("auto") == gpus.to_share("cuda") == ["0", "1", "2"]
    assert gpus.to_share("cpu") == gpus.to_share("cuda:1") == []


def test_a_gpu_that_this_process_may_not_use_does_not_count(
    devices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(devices, 0, 1)
    monkeypatch.setattr(gpus.os, "access", lambda path, _: path.name == "nvidia1")
    assert gpus.to_share("cuda") == ["0"]


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("3, 1", ["3", "1"]),
        ("GPU-8932f937-d72c,GPU-1a", ["GPU-8932f937-d72c", "GPU-1a"]),
        ("MIG-GPU-8932f937/1/0", ["MIG-GPU-8932f937/1/0"]),
        ("0,2,-1,1", ["0", "2"]),
        ("-1", []),
        ("", []),
        ("NoDevFiles", []),
    ],
)
def test_the_environment_says_which(
    devices: Path, monkeypatch: pytest.MonkeyPatch, named: str, expected: list[str]
) -> None:
    add(devices, 0, 1, 2, 3)
    monkeypatch.setenv(gpus.VARIABLE, named)
    assert gpus.to_share("auto") == expected


def test_workers_have_a_gpu_each(devices: Path) -> None:
    add(devices, 0, 1, 2)
    assert shown(3) == (["0", "1", "2"], False)


def test_more_workers_than_gpus_take_turns_and_keep_to_those_named(
    devices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(gpus.VARIABLE, "GPU-b,GPU-a,-1,GPU-c")
    assert shown(3, "cuda") == (["GPU-a", "GPU-b", "GPU-b"], False)


@pytest.mark.parametrize(("device", "named"), [("cpu", None), ("cuda:1", None), ("auto", "")])
def test_workers_are_left_alone(
    devices: Path, monkeypatch: pytest.MonkeyPatch, device: str, named: str | None
) -> None:
    add(devices, 0, 1)
    if named is not None:
        monkeypatch.setenv(gpus.VARIABLE, named)
    assert shown(1, device)[0] == [str(named)]


def test_a_worker_that_takes_over_has_the_gpu_of_the_dead_one(devices: Path, tmp_path: Path) -> None:
    add(devices, 0, 1)
    with open_executor(2) as executor:
        assert list(
            executor.run([Task("executor_tasks:die_at_first", {"mark": str(tmp_path / "mark")}, "die")])
        )
        found: dict[int, str] = {}
        until = time.monotonic() + 60
        while len(found) < 2:
            assert time.monotonic() < until
            places = executor.run(Task("executor_tasks:whereabouts", {}, f"{i}") for i in range(8))
            found |= {place["pid"]: place["gpus"] for _, place in places}
    assert sorted(found.values()) == ["0", "1"]


@pytest.mark.parametrize(("workers", "lost", "taken"), [(2, "0", "1"), (3, "1", "0")])
def test_what_a_lost_gpu_failed_at_is_tried_on_another(
    devices: Path, workers: int, lost: str, taken: str
) -> None:
    add(devices, 0, 1)
    tasks = [Task("executor_tasks:need_another_gpu", {"lost": lost}, f"{i}") for i in range(workers)]
    with open_executor(workers) as executor:
        assert {place for _, place in executor.run(tasks)} == {taken}


def test_a_gpu_that_is_lost_without_another_is_named(devices: Path) -> None:
    add(devices, 0)
    with (
        open_executor(1) as executor,
        pytest.raises(RunFailedError, match=r"unit embed 1 failed: the worker process died .* a lost GPU"),
    ):
        list(executor.run([Task("executor_tasks:need_another_gpu", {"lost": "0"}, "embed 1")]))


def test_counting_loads_no_torch() -> None:
    code = (
        "import sys; from pipeline.execution import executors, gpus; gpus.to_share('auto'); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3]).returncode == 0


@pytest.mark.parametrize(
    ("workers", "threads", "share"),
    [(4, None, 4), (3, None, 5), (32, None, 1), (1, None, 16), (None, None, None), (4, 2, 2), (None, 2, 2)],
)
def test_workers_share_the_cores_that_they_decode_and_compute_on(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    workers: int | None,
    threads: int | None,
    share: int | None,
) -> None:
    """Eight workers that each decode on all 128 cores would be a thousand processes."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(16)))
    pool = {"path": str(tmp_path / "pool"), "format": "img2dataset"}
    said = {"name": "shared", "pool": pool, "splits": {"whole": []}, "output": str(tmp_path / "out")}
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(said))
    run = open_run(load_plan(tmp_path / "plan.yaml", []), RunOptions(workers=workers, threads=threads))
    assert run.place.threads == share
