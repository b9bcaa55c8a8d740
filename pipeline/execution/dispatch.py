"""Hand tasks to a cluster a few at a time, and tell tasks that kill their workers from bystanders."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pipeline.execution.tasks import Outcome, Task, perform_in_worker


class Dispatch:
    """Keeps as many tasks at the cluster as it has threads, so that a worker's death takes few with it."""

    def __init__(self, connect: Callable[[], Any], wait: Callable[[Any, list[Any]], Iterable[Any]]) -> None:
        """Take what gives the cluster's client, and what waits for at least one of its futures to end."""
        self._connect = connect
        self._wait = wait
        self._running: dict[Any, tuple[int, Task]] = {}
        self._suspects: list[tuple[int, Task]] = []

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[int, Outcome]]:
        """Yield (position, outcome) as completed; tasks whose workers died come last, each alone."""
        waiting = enumerate(tasks)
        try:
            following = next(waiting, None)
            while following or self._running:  # the first task starts the cluster; no tasks start none
                while following and self._room() > 0:
                    self._send(*following)
                    following = next(waiting, None)
                yield from self._done(alone=False)
            for position, task in self._suspects:
                self._send(position, task)
                yield from self._done(alone=True)
        finally:
            for future in self._running:
                with contextlib.suppress(Exception):  # the cluster may be gone, and is closed next anyway
                    future.cancel()

    def _room(self) -> int:
        threads: dict[str, int] = self._connect().nthreads()
        # with every worker gone for a moment, one task waits there for the next worker
        return max(sum(threads.values()) - len(self._running), 0 if self._running else 1)

    def _send(self, position: int, task: Task) -> None:
        key = f"{task.name}-{os.urandom(8).hex()}"
        future = self._connect().submit(
            perform_in_worker, task.function, task.arguments, task.name, key=key, pure=False
        )
        self._running[future] = (position, task)

    def _done(self, alone: bool) -> Iterator[tuple[int, Outcome]]:
        for future in self._wait(self._connect(), list(self._running)):
            position, task = self._running.pop(future)
            outcome = self._outcome(future, task, alone)
            if outcome is None:
                self._suspects.append((position, task))
            else:
                yield position, outcome

    def _outcome(self, future: Any, task: Task, alone: bool) -> Outcome | None:
        if future.status == "finished":
            outcome: Outcome = future.result()
            return outcome
        error = future.exception() if future.status == "error" else None
        if type(error).__name__ == "KilledWorker":
            return killed(task) if alone else None
        why = (
            "the connection to the cluster was lost" if error is None else f"{type(error).__name__}: {error}"
        )
        return _failure(task, why, repr(error))


def killed(task: Task) -> Outcome:
    """Say that a task's workers died, however often it was tried."""
    why = (
        "the worker process died each time it was tried (out of memory, a lost GPU, or a crash in a library); "
        "try fewer workers"
    )
    return _failure(task, why, "")


def _failure(task: Task, why: str, trace: str) -> Outcome:
    message = f"unit {task.name} failed: {why}. What was committed stands, so run again to resume"
    return Outcome(error="RunFailedError", message=message, trace=trace)
