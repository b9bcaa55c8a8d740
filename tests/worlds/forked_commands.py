"""Commands of nearfar in processes of their own that may be killed: forked from one that has imported all, once.

It reads lines of JSON (arguments, folder, environment, the files for what the command says), and prints for each the
process, and then how it ended: an exit status, negative for a signal.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import IO

from shared_work import compile_in_turns
from source_tree import MODULES

from pipeline.cli import main

LATE = ("faiss", "open_clip", "pandas", "pyarrow.acero", "pyarrow.dataset", "scipy.linalg")
"""What libraries import of others when they first need it, and takes long."""


class Forker:
    """Gives commands: the arguments of `nearfar`, or a script of the tests with its arguments."""

    def __init__(self, asked: IO[str], answers: IO[str], folder: Path) -> None:
        self._asked, self._answers = asked, answers
        self._said, self._wrong = folder / "said.txt", folder / "wrong.txt"

    def __call__(self, *arguments: str, folder: Path, **environment: str) -> tuple[int, str]:
        """Give a command in a folder: how its process ended, and what it said."""
        self.start(*arguments, folder=folder, **environment)
        return self.end()

    def start(self, *arguments: str, folder: Path, **environment: str) -> int:
        """Give a command; the process that does it, which leads a group of its own."""
        return self._start(arguments, folder, environment, self._said)

    def end(self) -> tuple[int, str]:
        """Wait for the command that was started."""
        return int(self._answers.readline()), self._said.read_text()

    def finish(
        self, arguments: list[str], folder: Path, environment: dict[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """Give a command and wait for it: what it said and what it warned of, apart."""
        self._start(arguments, folder, environment, self._wrong)
        status, said = self.end()
        return subprocess.CompletedProcess(arguments, status, said, self._wrong.read_text())

    def _start(self, arguments: Sequence[str], folder: Path, environment: dict[str, str], wrong: Path) -> int:
        self._said.write_text("")
        self._wrong.write_text("")
        line = [list(arguments), str(folder), _surroundings() | environment, str(self._said), str(wrong)]
        self._asked.write(json.dumps(line) + "\n")
        self._asked.flush()
        return int(self._answers.readline())

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


@cache
def forker() -> Forker:
    """Start the process that forks, once; what a command says is written to files."""
    folder = tempfile.TemporaryDirectory(prefix="forked-")
    parent = subprocess.Popen(
        [sys.executable, __file__],
        env=_surroundings(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdin is not None
    assert parent.stdout is not None

    def stop() -> None:
        parent.communicate()
        folder.cleanup()

    atexit.register(stop)
    return Forker(parent.stdin, parent.stdout, Path(folder.name))


def _surroundings() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}


def serve() -> None:
    """Fork for each line."""
    _import_all()
    compile_in_turns()
    for line in sys.stdin:
        arguments, folder, environment, said, wrong = json.loads(line)
        child = os.fork()
        if child == 0:
            os.setpgid(0, 0)
            os.environ.clear()
            os.environ.update(environment)
            os.chdir(folder)
            _speak_into(said, wrong)
            _leave(arguments)
        os.setpgid(child, child)  # whoever comes first of the two
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    os._exit(0)  # libraries would complain of what was imported and never used


def _speak_into(said: str, wrong: str) -> None:
    """Read nothing, and write to files; one file for both has what is written in its order."""
    for descriptor, path in enumerate((os.devnull, said, wrong)):
        os.dup2(os.open(path, os.O_RDWR | os.O_APPEND), descriptor)


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
    except BaseException:  # noqa: BLE001 - a process of its own that says why it ends
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve()
