"""How the command line ends where something stopped it: in words, by exit code, and with `--json` as an object."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

INTERRUPTED = 130


class TerminatedError(BaseException):
    """SIGTERM, as Slurm and Kubernetes send it before they kill."""


def terminate(signum: int, frame: FrameType | None) -> None:
    """Raise it."""
    raise TerminatedError


def leave(message: str, code: int, arguments: Sequence[str]) -> NoReturn:
    """End with an exit code, and say why: on standard error, and for programs on standard output too.

    What names and values of strangers would do to a terminal (escapes, text from right to left) is shown instead.

    Args:
        message: Why, after the name of the program.
        code: The exit code.
        arguments: What the command line was called with.
    """
    from pipeline.report.drawing.text import visible_lines

    print(f"nearfar: {visible_lines(message)}", file=sys.stderr)
    say_stopped(message, code, arguments)
    sys.exit(code)


def say_stopped(message: str, code: int, arguments: Sequence[str]) -> None:
    """Say on standard output too, where the command line asks for JSON, why nothing else is said there."""
    if "--json" in arguments:
        from pipeline.ending.last_object import say_last

        name = next((one for one in arguments if not one.startswith("-")), None)
        say_last(name, {}, code, [message])
