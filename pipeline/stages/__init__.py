"""One file per stage.

A stage *plans* units in the driver, from the plan and from what earlier stages committed, and *performs* them wherever
the executor puts them. A file names the stages that it comes `AFTER`; one that has no `plan` is planned by another
stage.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import cache
from graphlib import TopologicalSorter
from typing import Any

from indexes import registry
from pipeline.execution.work import stage_module


@cache
def stage_names() -> tuple[str, ...]:
    """List the stages that plan, each after those that it names, otherwise by name."""
    return _in_order(name for name in _files() if hasattr(stage_module(name), "plan"))


@cache
def stages_up_to(last: str) -> tuple[str, ...]:
    """List a stage and those that it comes after, in an order in which they can be planned; no other is loaded."""
    found, coming = set[str](), [last]
    while coming:
        name = coming.pop()
        if name not in found:
            found.add(name)
            coming += _after(name)
    return _in_order(found)


def _in_order(names: Iterable[str]) -> tuple[str, ...]:
    sorter = TopologicalSorter({name: set(_after(name)) for name in names})
    sorter.prepare()
    order: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        order += ready
        sorter.done(*ready)
    return tuple(order)


@cache
def performing_names() -> tuple[str, ...]:
    """List every stage that commits units."""
    return tuple(name for name in _files() if _performs(stage_module(name)))


def _files() -> list[str]:
    return [name.replace("-", "_") for name in registry.names(sys.modules[__name__])]


def _after(name: str) -> tuple[str, ...]:
    return tuple(stage_module(name).AFTER)


def _performs(module: Any) -> bool:
    return hasattr(module, "perform") or hasattr(module, "perform_many")
