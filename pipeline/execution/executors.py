"""Run units of work: in this process, on worker processes of this machine, or on any Dask cluster.

The only file that imports Dask. Errors of the error tree come back as themselves; any other exception becomes a
`RunFailedError` that names the unit, with its traceback in the log of the run (pipeline/execution/tasks.py).
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import tempfile
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import Any, TypeAlias

from indexes.errors import BadInputError, RunFailedError
from pipeline.execution import gpus
from pipeline.execution.dispatch import Dispatch
from pipeline.execution.tasks import LOG, Task, perform, unwrap

__all__ = ["Executor", "Task", "open_executor", "run_tasks"]

_CONNECT_SECONDS = 30
_JOIN_SECONDS = 120
_DEATHS = 1
"""How often Dask itself moves a task whose worker died; after that it is tried again alone."""
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")

Results: TypeAlias = Iterator[tuple[int, Any]]


class Executor:
    """Runs tasks in one place; a cluster starts with the first task that needs it."""

    def __init__(
        self, workers: int | None, scheduler: str | None, device: str, stack: contextlib.ExitStack
    ) -> None:
        self.workers = workers
        self.scheduler = scheduler
        self._device = device
        self._stack = stack
        self._client: Any = None

    def run(self, tasks: Iterable[Task]) -> Results:
        """Yield (position of the task, its result) as tasks are done, taking few tasks ahead of that.

        Raises:
            NearfarError: As the task raised it.
            RunFailedError: If a task failed otherwise, its worker died again and again, or the cluster went away.
        """
        if self.workers is None and self.scheduler is None:
            yield from _run_here(tasks)
        else:
            for position, outcome in Dispatch(self._connected, _wait_for_one).run(tasks):
                yield position, unwrap(outcome)

    def _connected(self) -> Any:
        if self._client is None:
            if self.scheduler:
                place = _connect(self.scheduler)
            else:
                place = _local_cluster(self.workers or 1, gpus.to_share(self._device))
            self._client = self._stack.enter_context(place)
        return self._client


_open: ContextVar[Executor | None] = ContextVar("open executor", default=None)


@contextlib.contextmanager
def open_executor(
    workers: int | None = None, scheduler: str | None = None, device: str = "auto"
) -> Iterator[Executor]:
    """Hold one place to run tasks for the length of the block; `run_tasks` inside it uses the same one.

    Args:
        workers: Worker processes of one thread each on this machine; None runs in this process.
        scheduler: Address of a Dask scheduler (`tcp://host:8786`) instead; workers need nearfar installed and the
            same paths, and compute on the GPUs that they were started with.
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


def run_tasks(tasks: Iterable[Task], workers: int | None = None, scheduler: str | None = None) -> Results:
    """Run tasks as `Executor.run` does, in the open executor of the same kind or in one of their own."""
    current = _open.get()
    if current is not None and (current.workers, current.scheduler) == (workers, scheduler):
        yield from current.run(tasks)
        return
    with open_executor(workers, scheduler) as executor:
        yield from executor.run(tasks)


def dask_setup(_: object) -> None:
    """Preload of each local worker: the driver alone answers Ctrl-C and speaks to the terminal.

    Ctrl-C reaches the whole process group; and a worker that dies prints what only alarms (errors of units come
    back as outcomes).
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 2)
    os.close(silence)


def _run_here(tasks: Iterable[Task]) -> Results:
    for position, task in enumerate(tasks):
        yield position, unwrap(perform(task.function, task.arguments, task.name))


def _distributed() -> Any:
    import distributed  # a second, and only where a cluster is asked for

    return distributed


def _wait_for_one(client: Any, futures: list[Any]) -> Any:
    with client.as_current():
        return _distributed().wait(futures, return_when="FIRST_COMPLETED").done


@contextlib.contextmanager
def _local_cluster(workers: int, shared: list[str]) -> Iterator[Any]:
    import dask

    dd = _distributed()
    folder = tempfile.TemporaryDirectory(prefix="nearfar-", ignore_cleanup_errors=True)
    with (
        folder as scratch,
        _quiet(),
        _own_environment(),
        dask.config.set(_settings(workers, shared)),
        dd.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0", "allowed_failures": _DEATHS},
            silence_logs=logging.CRITICAL,
            local_directory=scratch,
            preload=[__name__, *([gpus.__name__] if shared else [])],
        ) as cluster,
        dd.Client(cluster, set_as_default=False) as client,
    ):
        LOG.info("%d worker processes at %s, GPUs: %s", workers, cluster.scheduler_address, len(shared))
        yield client


def _settings(workers: int, shared: list[str]) -> dict[str, Any]:
    threads = str(max(1, len(os.sched_getaffinity(0)) // workers))
    return {
        "distributed.nanny.pre-spawn-environ": dict.fromkeys(_THREAD_VARIABLES, threads),
        **({f"distributed.nanny.environ.{gpus.VARIABLE}": ",".join(shared)} if shared else {}),
        # Results are small; memory is the units' own, and a worker that pauses at 80% would never go on.
        "distributed.worker.memory.target": False,
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.pause": False,
        "logging": {"distributed": "critical"},
    }


@contextlib.contextmanager
def _own_environment() -> Iterator[None]:
    # Dask sets the workers' variables in this process, where the next cluster would take them for the user's choice.
    names = (*_THREAD_VARIABLES, "PYTHONHASHSEED")
    before = {name: os.environ[name] for name in names if name in os.environ}
    try:
        yield
    finally:
        for name in names:
            os.environ.pop(name, None)
        os.environ.update(before)


@contextlib.contextmanager
def _connect(address: str) -> Iterator[Any]:
    with _quiet():
        try:
            client = _distributed().Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError, RuntimeError) as error:
            raise BadInputError(
                f"no Dask scheduler answers at '{address}': {error}. "
                "Give --scheduler the address it prints, such as tcp://host:8786"
            ) from error
        with client:
            _await_worker(client, address)
            yield client


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
