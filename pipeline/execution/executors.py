"""Run units of work: in this process, on worker processes of this machine, or on any Dask cluster.

Workers of this machine open no port. The only file that imports Dask. Errors of the error tree come back as themselves;
any other exception becomes a `RunFailedError` that names the unit, with its traceback in the log of the run
(pipeline/execution/tasks.py).
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import Any, TypeAlias

from indexes.errors import BadInputError, RunFailedError
from pipeline.execution import gpus
from pipeline.execution.dispatch import Dispatch
from pipeline.execution.side_by_side import SideBySide
from pipeline.execution.tasks import LOG, Outcome, Task, perform, unwrap
from pipeline.execution.worker_pool import WorkerPool

__all__ = ["Executor", "Task", "open_executor", "run_tasks"]

_CONNECT_SECONDS = 30
_JOIN_SECONDS = 120

TLS_VARIABLES = (
    "DASK_DISTRIBUTED__COMM__TLS__CA_FILE",
    "DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT",
    "DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY",
)
"""Dask's own names of what a client needs for TLS."""

Results: TypeAlias = Iterator[tuple[int, Any]]


class Executor:
    """Runs tasks in one place; workers start, and a scheduler is asked, with the first task that needs it."""

    def __init__(
        self, workers: int | None, scheduler: str | None, device: str, stack: contextlib.ExitStack
    ) -> None:
        self.workers = workers
        self.scheduler = scheduler
        self._device = device
        self._stack = stack
        self._client: Any = None
        self._pool: WorkerPool | None = None

    def run(self, tasks: Iterable[Task], threads: int = 1) -> Results:
        """Yield (position of the task, its result) as tasks are done, taking few tasks ahead of that.

        In this process as many are performed side by side as `threads` says.

        Raises:
            NearfarError: As the task raised it.
            RunFailedError: If a task failed otherwise, its worker died again and again, or the cluster went away.
        """
        outcomes: Iterator[tuple[int, Outcome]]
        if self.scheduler is not None:
            outcomes = Dispatch(self._connected, _wait_for_one).run(tasks)
        elif self.workers is not None:
            outcomes = self._local(self.workers).run(tasks)
        elif threads > 1:
            beside = SideBySide(threads)
            self._stack.callback(beside.close)  # an error may leave the generator where it is
            outcomes = beside.run(tasks)
        else:
            outcomes = _run_here(tasks)
        for position, outcome in outcomes:
            yield position, unwrap(outcome)

    def _local(self, workers: int) -> WorkerPool:
        if self._pool is None:
            self._pool = WorkerPool(workers, gpus.to_share(self._device))
            self._stack.callback(self._pool.close)
            LOG.info("%d worker processes", workers)
        return self._pool

    def _connected(self) -> Any:
        if self._client is None:
            self._client = self._stack.enter_context(_connect(str(self.scheduler)))
        return self._client


_open: ContextVar[Executor | None] = ContextVar("open executor", default=None)


@contextlib.contextmanager
def open_executor(
    workers: int | None = None, scheduler: str | None = None, device: str = "auto"
) -> Iterator[Executor]:
    """Hold one place to run tasks for the length of the block; `run_tasks` inside it uses the same one.

    Args:
        workers: Worker processes of one thread each on this machine; None runs in this process.
        scheduler: Address of a Dask scheduler (`tls://host:8786`) instead; workers need nearfar installed and the
            same paths, and compute on the GPUs that they were started with. Certificates come from Dask's own
            configuration.
        device: What the tasks compute on. Under `auto` and `cuda` each worker process of this machine has a GPU of
            its own, as far as there are.

    Raises:
        BadInputError: If both are given, or `workers` is below 1.
    """
    if workers is not None and (workers < 1 or scheduler is not None):
        raise BadInputError(
            f"--workers {workers}{f' with --scheduler {scheduler}' if scheduler else ''}: "
            "give --workers a number from 1 upwards, or --scheduler an address, not both"
        )
    with contextlib.ExitStack() as stack:
        executor = Executor(workers, scheduler, device, stack)
        token = _open.set(executor)
        stack.callback(_open.reset, token)
        yield executor


def run_tasks(
    tasks: Iterable[Task], workers: int | None = None, scheduler: str | None = None, threads: int = 1
) -> Results:
    """Run tasks as `Executor.run` does, in the open executor of the same kind or in one of their own."""
    current = _open.get()
    if current is not None and (current.workers, current.scheduler) == (workers, scheduler):
        yield from current.run(tasks, threads)
        return
    with open_executor(workers, scheduler) as executor:
        yield from executor.run(tasks, threads)


def _run_here(tasks: Iterable[Task]) -> Iterator[tuple[int, Outcome]]:
    for position, task in enumerate(tasks):
        yield position, perform(task.function, task.arguments, task.name)


def _distributed() -> Any:
    import distributed  # a second, and only where a cluster is asked for

    return distributed


def _wait_for_one(client: Any, futures: list[Any]) -> Any:
    with client.as_current():
        return _distributed().wait(futures, return_when="FIRST_COMPLETED").done


@contextlib.contextmanager
def _connect(address: str) -> Iterator[Any]:
    _check_certificates(address)
    with _quiet():
        try:
            client = _distributed().Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError, RuntimeError) as error:
            raise BadInputError(
                f"no Dask scheduler answers at '{address}': {error}. "
                "Give --scheduler the address it prints, such as tls://host:8786"
            ) from error
        with client:
            _await_worker(client, address)
            yield client


def _check_certificates(address: str) -> None:
    """Refuse TLS without certificates, which Dask only finds out deep inside.

    Raises:
        BadInputError: With the variables to set.
    """
    context = _distributed().Security().get_connection_args("client").get("ssl_context")
    if address.startswith("tls://") and context is None:
        raise BadInputError(
            f"'{address}' is reached over TLS, and Dask's configuration names no certificates; set "
            f"{', '.join(TLS_VARIABLES)} to the files that the scheduler was started with"
        )


def _await_worker(client: Any, address: str) -> None:
    try:
        client.wait_for_workers(1, timeout=_JOIN_SECONDS)
    except TimeoutError as error:
        raise RunFailedError(
            f"no worker joined the scheduler at '{address}' within {_JOIN_SECONDS} s; start workers and run again"
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    # What goes wrong on a cluster comes back as an error of ours; Dask's own lines would only alarm.
    logger = logging.getLogger("distributed")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
