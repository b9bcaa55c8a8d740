"""What processes that test side by side would each do, and one does for all: worlds, runs, compiled kernels."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FOLDER = "NEARFAR_TESTS_TOGETHER"
"""The variable that names the folder which the processes of a suite, and those that they start, have in common."""
_OURS = ("indexes.", "curation.", "pipeline.")
_held: set[str] = set()


def made_once(name: str, make: Callable[[Path], None]) -> Path:
    """Give a folder that the first who asks makes, and that all others read."""
    folder = Path(os.environ[FOLDER]) / name
    made = folder.with_name(f"{name}.made")
    with _alone(name):
        if not made.exists():
            folder.mkdir()
            make(folder)
            made.touch()
    return folder


def compile_in_turns() -> None:
    """Have each kernel compiled by one process at a time: who waited finds it in numba's cache."""
    from numba.core.compiler_lock import global_compiler_lock
    from numba.core.dispatcher import Dispatcher

    compile_now = Dispatcher.compile

    def compile_alone(self: Any, signature: Any) -> Any:
        name = f"{self.py_func.__module__}.{self.py_func.__qualname__}"
        if not name.startswith(_OURS) or name in _held or FOLDER not in os.environ:
            return compile_now(self, signature)
        # numba's own lock first: threads of a process then stand in one queue, and no two wait for each other.
        with global_compiler_lock, _alone(name):
            _held.add(name)
            try:
                return compile_now(self, signature)
            finally:
                _held.remove(name)

    Dispatcher.compile = compile_alone


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Keep other processes out of what has this name; a process that dies lets go."""
    with (Path(os.environ[FOLDER]) / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
