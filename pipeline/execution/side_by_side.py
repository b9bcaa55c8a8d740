"""Tasks that threads of this process perform side by side: those that mostly wait, or work without Python's lock.

A task whose outcome nobody takes any more, since another failed or a signal came, ends where it next asks.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import ContextVar
from itertools import islice
from threading import Event, Thread, current_thread

from pipeline.execution.tasks import Outcome, Task, perform

MOST = 4
"""Threads at work: more would wait for Python's lock."""
# What is written and hashed beside waits for Python's lock at most so long before each piece.
_TURN_SECONDS = 0.002
_over: ContextVar[Event | None] = ContextVar("whether nobody takes its outcome", default=None)


class NotWantedError(Exception):
    """Nobody takes what the task comes to."""


def check_wanted() -> None:
    """End a task that nobody takes the outcome of.

    Raises:
        NotWantedError: If that is so.
    """
    over = _over.get()
    if over is not None and over.is_set():
        raise NotWantedError


class SideBySide:
    """Performs a few tasks at a time."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._before = sys.getswitchinterval()
        self._over = Event()
        self._begun: list[Thread] = []
        self._pool = ThreadPoolExecutor(threads, "nearfar-unit", lambda: self._begun.append(current_thread()))

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[int, Outcome]]:
        """Yield (position, outcome) as completed, taking no task before a thread is free for it."""
        waiting = enumerate(tasks)
        running: dict[Future[Outcome], int] = {}
        try:
            sys.setswitchinterval(min(self._before, _TURN_SECONDS))
            while True:
                for position, task in islice(waiting, self._threads - len(running)):
                    running[self._pool.submit(self._perform, task)] = position
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), future.result()
        finally:
            self.close()

    def close(self) -> None:
        """Let no thread go on, and wait until none does."""
        self._over.set()
        self._pool.shutdown(cancel_futures=True)
        # A signal that comes while a thread is being started leaves the pool without word of it.
        for thread in self._begun:
            thread.join()
        sys.setswitchinterval(self._before)

    def _perform(self, task: Task) -> Outcome:
        _over.set(self._over)
        return perform(task.function, task.arguments, task.name)
