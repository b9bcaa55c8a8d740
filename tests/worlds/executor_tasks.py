"""Functions that the executor tests send to workers; importable there because the folder is on their path."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

from indexes.device.watchdog import watched
from indexes.errors import DataError, UnknownNameError
from pipeline.execution.side_by_side import check_wanted


def double(x: int) -> int:
    return 2 * x


def whereabouts() -> dict[str, Any]:
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "threads": [os.environ.get(name) for name in names],
        "gpus": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "torch": "torch" in sys.modules,
    }


def reject(x: int) -> None:
    raise DataError(f"shard {x} is damaged; fetch it again")


def misname() -> None:
    raise UnknownNameError("rule", "neer", ["near", "far"])


def divide(x: int) -> float:
    return x / 0


def exhaust() -> None:
    raise MemoryError("too much")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_at_first(mark: str) -> str:
    path = Path(mark)
    if not path.exists():
        path.write_text("died")
        die()
    return "survived"


def need_another_gpu(lost: str) -> str | None:
    """Some GPU answers with errors alone."""
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    with watched("cuda", "embedding 3 images"):
        if shown == lost:
            raise RuntimeError("CUDA error: unspecified launch failure")
    return shown


def nap(seconds: float, mark: str) -> None:
    with Path(mark).open("a") as stream:
        stream.write(f"{os.getpid()}\n")
    time.sleep(seconds)


def disturbed() -> str:
    """A library prints, and somebody presses Ctrl-C."""
    os.write(1, b"a library's own words")
    os.kill(os.getpid(), signal.SIGINT)
    return "undisturbed"


class OwnError(DataError):
    """Known to this file alone."""


def raise_own() -> None:
    raise OwnError("shard 7 is damaged")


def unsendable() -> object:
    return {1, 2}


class Doors:
    """Where tasks of one process meet."""

    opened: threading.Barrier
    reached: threading.Event


def meet(number: int) -> int:
    Doors.opened.wait()
    return number


def go_on() -> None:
    """Work until nobody wants it."""
    Doors.reached.set()
    while True:
        check_wanted()
        time.sleep(0.001)


def pass_by() -> str:
    Doors.reached.wait()
    return "passed"


def fail_behind() -> None:
    Doors.reached.wait()
    raise DataError("shard 7 is damaged")


def interrupt() -> None:
    Doors.reached.wait()
    os.kill(os.getpid(), signal.SIGINT)
    go_on()
