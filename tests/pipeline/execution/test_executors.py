from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from indexes.errors import BadInputError, DataError, NearfarError, RunFailedError, UnknownNameError
from pipeline.execution import executors
from pipeline.execution.executors import Executor, Task, open_executor, run_tasks
from pipeline.execution.tasks import LOG
from pipeline.execution.worker_pool import _Worker


def task(name: str, **arguments: object) -> Task:
    return Task(f"executor_tasks:{name}", dict(arguments), f"test/{name}")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Executor]:
    """One cluster of two workers for the whole file; open to `run_tasks(…, workers=2)`."""
    with open_executor(workers=2) as executor:
        yield executor


@pytest.fixture(params=["here", "workers"])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    if request.param == "workers":
        yield request.getfixturevalue("cluster")
        return
    with open_executor() as here:
        yield here


def test_every_task_gives_its_result_once(executor: Executor) -> None:
    done = list(executor.run(task("double", x=i) for i in range(30)))
    assert sorted(done) == [(i, 2 * i) for i in range(30)]


def test_no_tasks(executor: Executor) -> None:
    assert list(executor.run([])) == []


@pytest.mark.parametrize(
    ("name", "arguments", "kind", "message"),
    [
        ("reject", {"x": 7}, DataError, "shard 7 is damaged; fetch it again"),
        ("misname", {}, UnknownNameError, "unknown rule 'neer'; available: far, near"),
        ("raise_own", {}, DataError, "shard 7 is damaged"),
    ],
)
def test_errors_of_the_tree_come_back_as_themselves(
    executor: Executor, name: str, arguments: dict[str, int], kind: type[NearfarError], message: str
) -> None:
    with pytest.raises(kind) as caught:
        list(executor.run([task(name, **arguments)]))
    assert str(caught.value) == message
    assert type(caught.value) is kind
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("name", "reason"), [("divide", "ZeroDivisionError"), ("exhaust", "MemoryError: too much")]
)
def test_other_exceptions_name_the_unit_and_log_the_traceback(
    executor: Executor, caplog: pytest.LogCaptureFixture, name: str, reason: str
) -> None:
    unit = Task(f"executor_tasks:{name}", {"x": 1} if name == "divide" else {}, f"test/{name}")
    LOG.addHandler(caplog.handler)  # it does not propagate to the root logger, where caplog listens
    try:
        with pytest.raises(RunFailedError, match=rf"unit test/{name} failed: {reason}"):
            list(executor.run([unit]))
    finally:
        LOG.removeHandler(caplog.handler)
    (record,) = caplog.records
    assert "executor_tasks.py" in record.__dict__["traceback"]
    assert "Traceback" not in record.getMessage()


def test_a_function_that_does_not_exist_names_the_unit(executor: Executor) -> None:
    with pytest.raises(RunFailedError, match="unit test/absent failed: AttributeError"):
        list(executor.run([task("absent")]))


def test_serial_tasks_run_in_this_process_one_at_a_time() -> None:
    taken: list[int] = []

    def tasks() -> Iterator[Task]:
        for i in range(3):
            taken.append(i)
            yield task("whereabouts")

    results = run_tasks(tasks())
    assert next(results)[1]["pid"] == os.getpid()
    assert taken == [0]
    assert [position for position, _ in results] == [1, 2]


def test_workers_are_other_processes_with_their_share_of_threads(cluster: Executor) -> None:
    found = [result for _, result in run_tasks((task("whereabouts") for _ in range(8)), workers=2)]
    share = str(max(1, len(os.sched_getaffinity(0)) // 2))
    assert {tuple(place["threads"]) for place in found} == {(share,) * 4}
    assert os.getpid() not in {place["pid"] for place in found}
    assert len({place["pid"] for place in found}) <= 2


def test_a_cluster_leaves_this_process_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    for name in ("NUMBA_NUM_THREADS", "PYTHONHASHSEED"):
        monkeypatch.delenv(name, raising=False)
    before = dict(os.environ)
    (found,) = run_tasks([task("whereabouts")], workers=1)
    assert found[1]["threads"][0] == "3", "what the user has set holds"
    assert found[1]["threads"][3] == str(len(os.sched_getaffinity(0)))
    assert dict(os.environ) == before


def test_few_tasks_are_taken_ahead(cluster: Executor) -> None:
    taken: list[int] = []

    def tasks() -> Iterator[Task]:
        for i in range(100_000):
            taken.append(i)
            yield task("double", x=i)

    results = cluster.run(tasks())
    for _ in range(10):
        next(results)
    assert len(taken) <= 10 + 2 * 2 + 1
    results.close()  # type: ignore[attr-defined]


ALONE = """
import os, sys
sys.path[:0] = sys.argv[1:]
from test_executors import listening, members, open_executor, task
with open_executor(workers=2) as executor:
    found = [result for _, result in executor.run([task("double", x=1)])]
    print(found, len(members(os.getpid())) >= 2, listening(os.getpid()))
"""


def test_workers_open_no_port() -> None:
    """In a process of its own: other tests' servers may listen in this one."""
    places = [str(Path(__file__).parent), *filter(None, sys.path)]
    said = subprocess.run([sys.executable, "-c", ALONE, *places], capture_output=True, text=True, check=True)
    assert said.stdout.split("\n")[0].endswith("True []"), said.stdout


STRANGER = """
import json, os, sys
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
tried, opened = 0, []
for pid in sys.argv[1:]:
    for number in range(20):
        for mode in ("rb", "wb"):
            tried += 1
            try:
                stream = open(f"/proc/{pid}/fd/{number}", mode, buffering=0)
            except (PermissionError, FileNotFoundError):
                continue
            opened.append((pid, number, mode))
    try:
        os.kill(int(pid), 0)
        opened.append((pid, "signal"))
    except PermissionError:
        pass
print(json.dumps([os.getuid(), tried, opened]))
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user to attack from")
def test_another_user_can_run_nothing_on_the_workers(cluster: Executor) -> None:
    """Pipes have no address; what is left is /proc, which the kernel keeps for the owner."""
    list(cluster.run([task("double", x=1)]))
    family = [str(pid) for pid in members(os.getpid())]
    done = subprocess.run(
        [sys.executable, "-I", "-c", STRANGER, *family], capture_output=True, text=True, cwd="/", check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [65534, 40 * len(family), []]


def members(pid: int) -> list[int]:
    """This process and its children."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [pid, *(int(child) for one in tasks for child in (one / "children").read_text().split())]


def listening(pid: int) -> list[str]:
    """Addresses (as the kernel writes them) on which this process or a child of it listens."""
    sockets = set()
    for member in members(pid):
        for entry in Path(f"/proc/{member}/fd").iterdir():
            target = str(entry.readlink()) if entry.is_symlink() else ""
            if target.startswith("socket:["):
                sockets.add(target[8:-1])
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in sockets:
                found.append(fields[1].split(":")[0])
    return found


def test_a_worker_that_dies_once_is_replaced(cluster: Executor, tmp_path: Path) -> None:
    (found,) = cluster.run([task("die_at_first", mark=str(tmp_path / "mark"))])
    assert found == (0, "survived")


def test_an_interrupt_and_words_of_libraries_disturb_no_answer(cluster: Executor) -> None:
    assert list(cluster.run([task("disturbed")])) == [(0, "undisturbed")]


def test_half_an_answer_is_none() -> None:
    """A worker may be killed while it writes."""
    with subprocess.Popen(["printf", '{"result": 1}'], stdout=subprocess.PIPE) as process:
        assert _Worker(process).answer() is None


def test_a_task_that_kills_workers_fails_alone(cluster: Executor) -> None:
    tasks = [task("double", x=i) for i in range(12)]
    tasks.insert(3, task("die"))
    done: list[tuple[int, object]] = []
    with pytest.raises(
        RunFailedError, match=r"unit test/die failed: the worker process died.*run again to resume"
    ):
        collect(cluster.run(tasks), done)
    assert sorted(position for position, _ in done) == [i for i in range(13) if i != 3]
    assert [result for _, result in cluster.run([task("double", x=4)])] == [8]


def collect(results: Iterator[tuple[int, object]], into: list[tuple[int, object]]) -> None:
    for result in results:
        into.append(result)


def test_workers_end_with_their_driver(tmp_path: Path) -> None:
    """A driver that is killed at once leaves no worker behind, though it is in the middle of a task."""
    mark = tmp_path / "mark"
    code = (
        "import sys; from pipeline.execution.executors import Task, run_tasks; "
        "list(run_tasks([Task('executor_tasks:nap', {'seconds': 60, 'mark': sys.argv[1]}, 'nap')], workers=1))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    driver = subprocess.Popen([sys.executable, "-c", code, str(mark)], env=environment)
    until(lambda: mark.exists() and mark.read_text().endswith("\n"))
    driver.kill()
    driver.wait()
    worker = int(mark.read_text())
    until(lambda: not alive(worker))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_what_a_run_no_longer_waits_for_is_not_taken_for_the_next_answer(
    cluster: Executor, tmp_path: Path
) -> None:
    results = cluster.run([task("double", x=1), task("nap", seconds=60, mark=str(tmp_path / "mark"))])
    assert next(results) == (0, 2)
    results.close()  # type: ignore[attr-defined]
    assert sorted(cluster.run([task("double", x=5), task("double", x=6)])) == [(0, 10), (1, 12)]


def test_a_result_that_cannot_be_sent_names_the_unit(cluster: Executor) -> None:
    with pytest.raises(RunFailedError, match="unit test/unsendable failed: its result cannot be sent"):
        list(cluster.run([task("unsendable")]))


def test_no_scheduler_at_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "_CONNECT_SECONDS", 0.5)
    with pytest.raises(
        BadInputError, match=r"no Dask scheduler answers at 'tcp://127.0.0.1:1'.*tls://host:8786"
    ):
        list(run_tasks([task("double", x=1)], scheduler="tcp://127.0.0.1:1"))


@pytest.mark.parametrize(
    "arguments", [{"workers": 0}, {"workers": -1}, {"workers": 2, "scheduler": "tcp://h:1"}]
)
def test_impossible_choices_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(BadInputError, match="not both"):
        list(run_tasks([], **arguments))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, "stopped by KeyboardInterrupt"), (signal.SIGTERM, None)]
)
def test_signals_to_the_group_close_the_cluster(tmp_path: Path, number: int, status: str | None) -> None:
    code = textwrap.dedent(
        """
        import sys
        from pipeline.execution.executors import Task, run_tasks
        if __name__ == "__main__":
            tasks = [Task("executor_tasks:nap", {"seconds": 60, "mark": sys.argv[1]}, f"nap/{i}") for i in range(4)]
            try:
                list(run_tasks(tasks, workers=2))
            except KeyboardInterrupt as error:
                print("stopped by", type(error).__name__)
        """
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    mark = tmp_path / "mark"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2] / "worlds"), *sys.path]),
    }
    run = subprocess.Popen(
        [sys.executable, "-W", "error", str(script), str(mark)],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    until(lambda: mark.exists() and len(mark.read_text().splitlines()) == 2)
    os.killpg(run.pid, number)
    printed, complained = run.communicate(timeout=30)
    if status:
        assert (printed.strip(), complained) == (status, "")
        assert run.returncode == 0
    workers = [int(line) for line in mark.read_text().split()]
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    assert len(workers) == 2


def until(condition: object, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.05)
