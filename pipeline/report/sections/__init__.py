"""One file per section of the report that appears where its measures do.

A file has `TITLE`; `PLACE`, a number that orders the sections; `NEEDS`, the columns of measures that it reads, as
`kind.column` (between `|`, columns of which one will do); and `say(look)`, which gives a `Panel`, or `LeftOut` with the
reason. Nothing else has to be told. A section reads committed files, computes out of core, and costs little beside what
they cost; its numbers stand in `audit.json` under `sections`, by the file's name.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from indexes import registry
from pipeline.files.database import connect
from pipeline.report.request import ReportRequest
from pipeline.report.sections._look import Look
from pipeline.report.sections._panel import LeftOut, Panel


@dataclass(frozen=True, slots=True)
class ShownSection:
    """A section and what it says.

    Attributes:
        name: Its file.
        title: Its heading.
        panel: What it shows; None where it is left out.
        reason: Why it is left out; empty where it is not.
    """

    name: str
    title: str
    panel: Panel | None
    reason: str = ""


def names() -> tuple[str, ...]:
    """List the sections, in the order in which they are shown."""
    found = [name.replace("-", "_") for name in registry.names(sys.modules[__name__])]
    return tuple(sorted(found, key=lambda name: (_module(name).PLACE, name)))


def tell(request: ReportRequest, facts: Mapping[str, Mapping[str, Any]]) -> tuple[ShownSection, ...]:
    """Let every section say what it finds.

    Args:
        request: The committed files.
        facts: Each split's `split.json`.

    Raises:
        RunFailedError: If a file is damaged, or the memory limit too small.
    """
    with connect(request.out, request.memory_limit, request.threads) as db:
        look = Look(request, db, facts)
        return tuple(_told(name, look) for name in names())


def _told(name: str, look: Look) -> ShownSection:
    module = _module(name)
    lacking = missing(name, look)
    found = LeftOut(lacking) if lacking else module.say(look)
    if isinstance(found, LeftOut):
        return ShownSection(name, module.TITLE, None, found.reason)
    return ShownSection(name, module.TITLE, found)


def missing(name: str, look: Look) -> str:
    """Say which columns that a section needs are not there; empty where all are."""
    lacks = []
    for need in needs(name):
        ways = [way.partition(".")[::2] for way in need.split("|")]
        if not any(look.measures(kind, column) for kind, column in ways):
            lacks.append(
                " or ".join(f"no measure '{kind}' with a column '{column}'" for kind, column in ways)
            )
    return f"the run has {' and '.join(lacks)}" if lacks else ""


def needs(name: str) -> tuple[str, ...]:
    """List the columns that a section reads, as `kind.column`."""
    found: tuple[str, ...] = _module(name).NEEDS
    return found


def tables(kind: str) -> tuple[str, ...]:
    """List the tables beside a measure's columns that sections read: a section has them as `TABLES`, `kind:table`."""
    named = (need.partition(":") for name in names() for need in getattr(_module(name), "TABLES", ()))
    return tuple(dict.fromkeys(table for of, _, table in named if of == kind))


def looks_at_sets(kind: str) -> bool:
    """Say whether a section reads a measure's columns of further sets too: it has the measure's kind in `OF_SETS`."""
    return any(kind in getattr(_module(name), "OF_SETS", ()) for name in names())


def _module(name: str) -> Any:
    return registry.load(sys.modules[__name__], "section", name)
