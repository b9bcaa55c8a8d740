"""A unit of work as a function's name and arguments, and what came of it, in forms that cross processes."""

from __future__ import annotations

import importlib
import logging
import traceback
from dataclasses import dataclass
from typing import Any

import indexes.errors
from indexes.device.watchdog import is_replaced
from indexes.errors import NearfarError

LOG = logging.getLogger("nearfar")
# Without a run's log, tracebacks go nowhere rather than to the terminal, even if a library changes the root logger.
LOG.addHandler(logging.NullHandler())
LOG.propagate = False


@dataclass(frozen=True, slots=True)
class Task:
    """A unit of work, small enough to be sent anywhere.

    Attributes:
        function: `package.module:function`, importable wherever the task runs.
        arguments: JSON-able keyword arguments; data goes by path.
        label: The unit as messages name it.
    """

    function: str
    arguments: dict[str, Any]
    label: str = ""

    @property
    def name(self) -> str:
        """The label, or what stands in for it."""
        return self.label or f"{self.function} {self.arguments}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a task came to, in a form that crosses processes, any exception included."""

    result: Any = None
    error: str | None = None
    """Name of a class of indexes/errors.py."""
    message: str = ""
    trace: str = ""


def perform_in_worker(function: str, arguments: dict[str, Any], name: str) -> Outcome:
    """Run one task in a process that is replaced when it ends, and may end with a device that it has lost."""
    is_replaced()
    return perform(function, arguments, name)


def perform(function: str, arguments: dict[str, Any], name: str) -> Outcome:
    """Run one task where it is, keeping what it raises."""
    try:
        module, _, attribute = function.partition(":")
        return Outcome(getattr(importlib.import_module(module), attribute)(**arguments))
    except NearfarError as error:
        return Outcome(error=_known_class(error), message=str(error), trace=traceback.format_exc())
    except Exception as error:  # noqa: BLE001 - becomes a RunFailedError that names the unit
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:500]
        message = (
            f"unit {name} failed: {reason}. The log of the run has the details; what was committed stands, "
            "so run again to resume"
        )
        return Outcome(error="RunFailedError", message=message, trace=traceback.format_exc())


def _known_class(error: NearfarError) -> str:
    return next(kind.__name__ for kind in type(error).__mro__ if kind.__module__ == indexes.errors.__name__)


def unwrap(outcome: Outcome) -> Any:
    """Return a task's result, or raise what it raised."""
    if outcome.error is None:
        return outcome.result
    LOG.error("%s", outcome.message, extra={"traceback": outcome.trace})
    kind = getattr(indexes.errors, outcome.error)
    error = kind.__new__(kind, outcome.message)  # not called: classes of the tree take other arguments
    raise error
