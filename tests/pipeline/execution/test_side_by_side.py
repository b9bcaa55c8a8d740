"""Tasks that threads perform side by side: each once, few ahead, and none goes on when nobody waits for it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import pytest
from executor_tasks import Doors

from indexes.errors import DataError, RunFailedError
from pipeline.execution.executors import open_executor
from pipeline.execution.side_by_side import check_wanted
from pipeline.execution.tasks import Task
from pipeline.execution.work import threads_of
from pipeline.stages.exporting import gather


def task(name: str, **arguments: object) -> Task:
    return Task(f"executor_tasks:{name}", dict(arguments), f"test/{name}")


def at_work() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("nearfar-unit")]


def test_every_task_gives_its_result_once() -> None:
    with open_executor() as executor:
        done = list(executor.run((task("double", x=i) for i in range(30)), threads=3))
    assert sorted(done) == [(i, 2 * i) for i in range(30)]
    assert at_work() == []


def test_as_many_are_at_work_as_asked_and_no_task_is_taken_before() -> None:
    taken: list[int] = []

    def tasks() -> Iterator[Task]:
        for i in range(5):
            taken.append(i)
            yield task("meet", number=2)

    Doors.opened = threading.Barrier(2, timeout=20)  # who is alone fails
    with open_executor() as executor:
        results = executor.run(tasks(), threads=2)
        next(results)
        assert len(taken) <= 3
        Doors.opened.abort()
        with pytest.raises(RunFailedError, match="unit test/meet failed: BrokenBarrierError"):
            list(results)


@pytest.mark.parametrize("how", ["another fails", "a signal comes", "nobody asks for more"])
def test_a_task_that_nobody_waits_for_ends(how: str) -> None:
    Doors.reached = threading.Event()
    other = {"another fails": "fail_behind", "a signal comes": "interrupt", "nobody asks for more": "pass_by"}

    def stopped() -> None:
        with open_executor() as executor:
            results = executor.run([task("go_on"), task(other[how])], threads=2)
            next(results)
            assert how == "nobody asks for more"
            assert at_work()

    began = time.monotonic()
    if how == "nobody asks for more":
        stopped()
    else:
        kind = {"another fails": DataError, "a signal comes": KeyboardInterrupt}[how]
        with pytest.raises(kind):
            stopped()
    assert at_work() == []
    assert time.monotonic() - began < 20


def test_a_thread_is_waited_for_whose_start_a_signal_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """`Thread.start` waits for the thread, and a signal ends that; the pool never comes to know of the thread."""
    Doors.reached = threading.Event()
    start = threading.Thread.start

    def cut_short(thread: threading.Thread) -> None:
        start(thread)
        if thread.name.startswith("nearfar-unit"):
            Doors.reached.wait()
            raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", cut_short)
    with open_executor() as executor, pytest.raises(KeyboardInterrupt):
        list(executor.run([task("go_on")], threads=2))
    assert at_work() == []


def test_who_is_alone_is_always_wanted() -> None:
    check_wanted()


def test_how_many_are_at_work_is_told_by_stage_cores_and_units() -> None:
    cores = len(os.sched_getaffinity(0))
    assert gather.SIDE_BY_SIDE
    assert threads_of("gather", None, 100) == min(cores, 4)
    assert threads_of("gather", 3, 100) == 3
    assert threads_of("gather", 3, 2) == 2
    assert threads_of("gather", 1, 100) == 1
    assert threads_of("locate", 8, 100) == 1
