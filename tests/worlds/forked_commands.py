"""Commands of nearfar in processes of their own that may be killed: forked from one that has imported all, once.

It reads lines of JSON (arguments, folder, environment, the file for what the command says), and prints for each the
process, and then how it ended: an exit status, negative for a signal.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from source_tree import MODULES

from pipeline.cli import main

LATE = ("faiss", "open_clip", "pandas", "pyarrow.acero", "pyarrow.dataset", "scipy.linalg")
"""What libraries import of others when they first need it, and takes long."""


class Forker:
    """Gives commands: the arguments of `nearfar`, or a script of the tests with its arguments."""

    def __init__(self, asked: IO[str], answers: IO[str], said: Path) -> None:
        self._asked, self._answers, self._said = asked, answers, said

    def __call__(self, *arguments: str, folder: Path, **environment: str) -> tuple[int, str]:
        """Give a command in a folder: how its process ended, and what it said."""
        self.start(*arguments, folder=folder, **environment)
        return self.end()

    def start(self, *arguments: str, folder: Path, **environment: str) -> int:
        """Give a command; the process that does it, which leads a group of its own."""
        self._said.write_text("")
        line = [list(arguments), str(folder), environment, str(self._said)]
        self._asked.write(json.dumps(line) + "\n")
        self._asked.flush()
        return int(self._answers.readline())

    def end(self) -> tuple[int, str]:
        """Wait for the command that was started."""
        return int(self._answers.readline()), self._said.read_text()

    def kill(self, *arguments: str, folder: Path, ripe: Callable[[float], bool], **environment: str) -> bool:
        """Give a command, and kill -9 it with all that it started once it is ripe, told the seconds since the start.

        False if it was done by then.
        """
        process, began = self.start(*arguments, folder=folder, **environment), time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            while not ripe(time.monotonic() - began):
                os.kill(process, 0)  # there no more, it needs no killing
                time.sleep(0.005)
            os.killpg(process, signal.SIGKILL)
        status, said = self.end()
        assert status in (0, -signal.SIGKILL), said
        return status != 0


@contextmanager
def forking(said: Path) -> Iterator[Forker]:
    """Start the process that forks; what a command says is written to a file."""
    parent = subprocess.Popen(
        [sys.executable, __file__],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdin is not None
    assert parent.stdout is not None
    try:
        yield Forker(parent.stdin, parent.stdout, said)
    finally:
        parent.stdin.close()
        parent.wait()
        parent.stdout.close()


def serve() -> None:
    """Fork for each line."""
    _import_all()
    for line in sys.stdin:
        arguments, folder, environment, said = json.loads(line)
        child = os.fork()
        if child == 0:
            os.setpgid(0, 0)
            os.environ.update(environment)
            os.chdir(folder)
            out = os.open(said, os.O_WRONLY | os.O_TRUNC)
            os.dup2(out, 1)
            os.dup2(out, 2)
            _leave(arguments)
        os.setpgid(child, child)  # whoever comes first of the two
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    os._exit(0)  # libraries would complain of what was imported and never used


def _import_all() -> None:
    """Import before the fork what takes long; no thread may be started by it."""
    for module in (*LATE, *MODULES):
        if not module.endswith("__main__"):
            try:
                importlib.import_module(module)
            except ImportError:
                continue  # an extra that is not installed
    registry = importlib.import_module("numba.core.registry")
    for context in (registry.cpu_target.typing_context, registry.cpu_target.target_context):
        context.refresh()
    gc.freeze()  # a child that collects what is no garbage would copy all of it


def _leave(arguments: list[str]) -> None:
    """Do a command, and leave with its status; nothing of the parent's runs twice."""
    status = 1
    try:
        script = arguments[0].endswith(".py")
        sys.argv = arguments if script else ["nearfar", *arguments]
        if script:
            runpy.run_path(arguments[0], run_name="__main__")
            status = 0
        else:
            main(arguments)
    except SystemExit as stopped:
        status = int(stopped.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve()
