"""Worker processes of this machine, each behind two pipes of its own; see pipeline/execution/worker.py.

A worker has one task at a time, so it is known which task a worker died of. That task is tried again when all others
are done, alone, with the memory of the whole machine, and on another GPU where there is one; if its worker dies again,
the task has failed.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pipeline.execution import gpus
from pipeline.execution.dispatch import killed
from pipeline.execution.tasks import Outcome, Task
from pipeline.execution.work import share_of

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
_CODE = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop()); "
    "from pipeline.execution.worker import serve; serve()"
)


@dataclass(slots=True)
class _Worker:
    """A process, and what it is doing: the task and its position."""

    process: subprocess.Popen[bytes]
    doing: tuple[int, Task] | None = None

    @property
    def answers(self) -> int:
        """Descriptor that its outcomes come by."""
        assert self.process.stdout is not None  # noqa: S101 - it was asked for
        return self.process.stdout.fileno()

    def send(self, position: int, task: Task) -> None:
        """Give it a task; one that is dead already is found out when its answer is awaited."""
        self.doing = (position, task)
        request = {"function": task.function, "arguments": task.arguments, "name": task.name}
        assert self.process.stdin is not None  # noqa: S101 - it was asked for
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()

    def answer(self) -> Outcome | None:
        """Take its outcome; None if it died."""
        assert self.process.stdout is not None  # noqa: S101 - it was asked for
        line = self.process.stdout.readline()
        return Outcome(**json.loads(line)) if line.endswith(b"\n") else None

    def end(self) -> None:
        """Kill it and wait for its end."""
        self.process.kill()
        with contextlib.suppress(BrokenPipeError):
            self.process.communicate()


class WorkerPool:
    """Up to `workers` processes of one task each, started as tasks come, and kept until the pool is closed."""

    def __init__(self, workers: int, shared: list[str]) -> None:
        """Take the number of processes, and the GPUs that they take turns in, as CUDA_VISIBLE_DEVICES names them."""
        self._count = workers
        self._shared = shared
        self._workers: dict[int, _Worker] = {}

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[int, Outcome]]:
        """Yield (position, outcome) as completed; tasks whose workers died come last."""
        suspects: list[tuple[int, Task, int]] = []
        waiting = enumerate(tasks)
        try:
            following = next(waiting, None)
            while following or self._busy():
                while following and len(self._busy()) < self._count:
                    self._send(*following)
                    following = next(waiting, None)
                for position, task, number, outcome in self._done():
                    if outcome is None:
                        suspects.append((position, task, number))
                    else:
                        yield position, outcome
            for position, task, number in suspects:
                self._send(position, task, self._gpu(number))
                for *_, outcome in self._done():
                    yield position, outcome or killed(task)
        finally:
            for number in self._busy():  # nobody takes their answers any more
                self._workers.pop(number).end()

    def close(self) -> None:
        """End every process."""
        while self._workers:
            self._workers.popitem()[1].end()

    def _busy(self) -> list[int]:
        return [number for number, worker in self._workers.items() if worker.doing]

    def _gpu(self, number: int) -> str | None:
        """Name the GPU of a worker; one that takes over a dead one's number takes over its GPU."""
        return self._shared[number % len(self._shared)] if self._shared else None

    def _send(self, position: int, task: Task, shunned: str | None = None) -> None:
        """Give a task to the first idle worker, or to the first whose GPU is not shunned."""
        idle = [number for number in range(self._count) if number not in self._busy()]
        number = next((one for one in idle if not shunned or self._gpu(one) != shunned), idle[0])
        if number not in self._workers:
            self._workers[number] = _Worker(self._started(number))
        self._workers[number].send(position, task)

    def _started(self, number: int) -> subprocess.Popen[bytes]:
        threads = str(share_of(None, self._count))
        environment = dict.fromkeys(_THREAD_VARIABLES, threads) | os.environ  # what the user has set holds
        gpu = self._gpu(number)
        if gpu is not None:
            environment[gpus.VARIABLE] = gpu
        return subprocess.Popen(
            [sys.executable, "-P", "-c", _CODE, json.dumps(sys.path)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def _done(self) -> Iterator[tuple[int, Task, int, Outcome | None]]:
        """Wait for at least one answer, and take those that have come, with the worker; a dead worker's is None."""
        with selectors.DefaultSelector() as selector:
            for number in self._busy():
                selector.register(self._workers[number].answers, selectors.EVENT_READ, number)
            ready = [key.data for key, _ in selector.select()]
        for number in ready:
            worker = self._workers[number]
            assert worker.doing is not None  # noqa: S101 - it is busy
            position, task = worker.doing
            outcome = worker.answer()
            worker.doing = None
            if outcome is None:
                self._workers.pop(number).end()
            yield position, task, number, outcome
