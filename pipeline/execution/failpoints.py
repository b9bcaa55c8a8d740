"""Named places where a test can make this process die, fail or stall; off unless the environment says so.

`NEARFAR_FAILPOINT` holds one or more `name=action[@n]`, separated by commas; `@n` picks the n-th time that
this process reaches the point, without it every time counts. Actions:

    kill, term, int         the process sends itself SIGKILL, SIGTERM, SIGINT
    enospc, edquot, eio     OSError with that number
    memory, error           MemoryError, RuntimeError
    sleep:SECONDS           wait

`NEARFAR_FAILPOINT_RECORD` names a file to which every point that is reached adds a line.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from typing import NoReturn

from indexes.errors import PlanError

ACTION_VARIABLE = "NEARFAR_FAILPOINT"
RECORD_VARIABLE = "NEARFAR_FAILPOINT_RECORD"

_reached: Counter[tuple[str, str]] = Counter()


def failpoint(name: str) -> None:
    """Mark a place in a protocol that a test wants to interrupt; `name` is `stage.point`.

    Raises:
        PlanError: If the environment names an action that does not exist.
    """
    record = os.environ.get(RECORD_VARIABLE)
    if record:
        _append(record, name)
    armed = os.environ.get(ACTION_VARIABLE)
    if armed:
        _fire(name, armed)


def _append(path: str, name: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, f"{name}\n".encode())
    finally:
        os.close(descriptor)


def _fire(name: str, armed: str) -> None:
    for entry in armed.split(","):
        point, _, rest = entry.strip().partition("=")
        if point != name:
            continue
        action, _, turn = rest.partition("@")
        _reached[(armed, entry)] += 1  # a new setting of the variable begins a new count
        if not turn or _reached[(armed, entry)] == int(turn):
            _act(name, action)


def _act(name: str, action: str) -> None:
    verb, _, amount = action.partition(":")
    if verb == "sleep":
        time.sleep(float(amount))
    elif verb in _ACTIONS:
        _ACTIONS[verb](name)
    else:
        raise PlanError(
            f"unknown failpoint action '{action}' in {ACTION_VARIABLE}; "
            f"available: {', '.join(sorted(_ACTIONS))}, sleep:SECONDS. Correct or unset the variable"
        )


def _send(number: signal.Signals) -> Callable[[str], None]:
    def send(_: str) -> None:
        os.kill(os.getpid(), number)

    return send


def _os_error(number: int) -> Callable[[str], NoReturn]:
    def fail(name: str) -> NoReturn:
        raise OSError(number, f"{os.strerror(number)} (failpoint {name})")

    return fail


def _memory_error(name: str) -> NoReturn:
    raise MemoryError(f"failpoint {name}")


def _runtime_error(name: str) -> NoReturn:
    raise RuntimeError(f"failpoint {name}")


_ACTIONS: dict[str, Callable[[str], None]] = {
    "kill": _send(signal.SIGKILL),
    "term": _send(signal.SIGTERM),
    "int": _send(signal.SIGINT),
    "enospc": _os_error(errno.ENOSPC),
    "edquot": _os_error(errno.EDQUOT),
    "eio": _os_error(errno.EIO),
    "memory": _memory_error,
    "error": _runtime_error,
}
