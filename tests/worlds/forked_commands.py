"""Commands of nearfar in processes of their own that may be killed: forked from one that has imported all, once.

Reads lines of JSON (arguments, environment, the file for what the command says), and prints how each process ended: an
exit status, negative for a signal.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.cli import main
from pipeline.execution.work import stage_module
from pipeline.stages import performing_names

Command = Callable[..., tuple[int, str]]
"""Arguments, and what the environment has besides, to how the process ended and what it said."""


@contextmanager
def forking(folder: Path) -> Iterator[Command]:
    """Start the process that forks; what commands say is written in `folder`, where they run."""
    parent = subprocess.Popen(
        [sys.executable, __file__, str(folder)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdin is not None
    assert parent.stdout is not None

    def command(*arguments: str, **environment: str) -> tuple[int, str]:
        said = folder / "said.txt"
        parent.stdin.write(json.dumps([list(arguments), environment, str(said)]) + "\n")
        parent.stdin.flush()
        status = int(parent.stdout.readline())
        return status, said.read_text()

    try:
        yield command
    finally:
        parent.stdin.close()
        parent.wait()
        parent.stdout.close()


def serve() -> None:
    """Fork for each line."""
    # What takes long to import is imported before the fork.
    for module in ("open_clip", "indexes.cpu.engine", "pipeline.commands"):
        importlib.import_module(module)
    for stage in performing_names():
        stage_module(stage)
    for line in sys.stdin:
        arguments, environment, said = json.loads(line)
        child = os.fork()
        if child == 0:
            os.environ.update(environment)
            out = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(out, 1)
            os.dup2(out, 2)
            _leave(arguments)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _leave(arguments: list[str]) -> None:
    """Run a command, and leave with its status; nothing of the parent's runs twice."""
    status = 1
    try:
        main(arguments)
    except SystemExit as stopped:
        status = int(stopped.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve()
