"""The error tree of nearfar.

    NearfarError            a person can act on the message; the command line prints it without a traceback
    ├── BadInputError       exit 2: the plan, the data or the command is wrong
    │   ├── PlanError       the plan file
    │   ├── DataError       a pool, reference or benchmark
    │   ├── ShapeError      vectors of another width, rows that do not pair up
    │   ├── UnknownNameError  a rule, reader, measure, backend or benchmark that does not exist
    │   └── OutputError     the output cannot be written, is in use, or belongs to another plan
    └── RunFailedError      exit 1: a unit of work failed for a reason outside the input

Every message says what is wrong, what was got, what is allowed, and what to do next.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar


class NearfarError(Exception):
    """Root of the tree; `exit_code` is what the command line returns."""

    exit_code: ClassVar[int] = 1


class BadInputError(NearfarError):
    """What the user gave is wrong; running again without a change gives the same error."""

    exit_code: ClassVar[int] = 2


class PlanError(BadInputError):
    """The plan file is wrong."""


class DataError(BadInputError):
    """A pool, reference or benchmark is missing, damaged, or not what the plan says it is."""


class ShapeError(BadInputError):
    """Vectors have another width than the index, or rows do not pair up."""


class OutputError(BadInputError):
    """The output cannot be written, is in use by another run, or belongs to another plan."""


class RunFailedError(NearfarError):
    """A unit of work failed for a reason outside the input."""


class UnknownNameError(BadInputError):
    """A name that nearfar looks up does not exist; the message lists the names there are."""

    def __init__(self, kind: str, got: str, available: Iterable[str], advice: str = "") -> None:
        names = ", ".join(sorted(available)) or "none"
        super().__init__(f"unknown {kind} '{got}'; available: {names}{'. ' + advice if advice else ''}")
