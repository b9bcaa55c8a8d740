"""Units of work as the driver describes them."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from pydantic import TypeAdapter

from indexes import registry
from pipeline.commit import Attempt, Output, Unit, fingerprint
from pipeline.commit.brought_inputs import told
from pipeline.execution.side_by_side import MOST
from pipeline.execution.tasks import Task
from pipeline.files.inputs import Input

# Part of every fingerprint: raised when a change of code changes what the same inputs give.
OUTPUT_VERSION = 3

Json = dict[str, Any]
Identity = TypeVar("Identity")
Settings = TypeVar("Settings")


@dataclass(frozen=True, slots=True)
class Place:
    """What every unit is told; none of it changes a result.

    Attributes:
        out: The output folder.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        threads: Threads of a unit; None takes what the process may use.
        memory_limit: DuckDB's share of memory.
        engine_memory: Bytes that a search may hold.
    """

    out: str
    device: str = "auto"
    threads: int | None = None
    memory_limit: str = "1GB"
    engine_memory: int = 1 << 30

    def path(self, relative: str) -> Path:
        """Locate an output."""
        return Path(self.out) / relative


@dataclass(frozen=True, slots=True)
class Work(Generic[Identity, Settings]):
    """One unit, described small enough to be sent anywhere; data goes by path.

    Attributes:
        stage: Name of a file in `pipeline/stages/`.
        name: The unit within the stage.
        identity: What decides the output bytes, in the stage's own `Identity`. Its fingerprint is the unit's.
        settings: What does not, in the stage's own `Settings`.
        place: Where and with what it runs.
        inputs: Files of the user's that it reads. What is in them is no part of the identity: it is found out when
            they are read, and compared with the record.
        committed: Files of earlier units that it reads, all of them and no others: they are hashed before it is done.
        part: The set and the number of the part that it is for; when that part is gone, so is what the unit made.
        together: Units of a wave with the same text here are performed by one call, which can share a pass.
        rows: Rows that the unit looks at, for progress and estimates.
    """

    stage: str
    name: str
    identity: Identity
    settings: Settings
    place: Place
    inputs: tuple[Input, ...] = ()
    committed: tuple[Output, ...] = ()
    part: tuple[str, int] | None = None
    together: str = ""
    rows: int = 0

    def unit(self) -> Unit:
        """Name the unit for the commit protocol."""
        identity = _plain(self.identity)
        return Unit(self.stage, self.name, fingerprint(self.stage, self.name, OUTPUT_VERSION, identity))

    @property
    def label(self) -> str:
        """The unit as messages name it."""
        return f"{self.stage}/{self.name}"

    def to_json(self) -> Json:
        """Describe the unit, but for the files that it reads."""
        return {
            "stage": self.stage,
            "name": self.name,
            "identity": _plain(self.identity),
            "settings": _plain(self.settings),
            "place": asdict(self.place),
            "part": self.part,
        }


class Stage(Protocol):
    """What a file in `pipeline/stages/` provides; one without `plan` is planned by another and only performs.

    It may say `SIDE_BY_SIDE = True` of its units: see `threads_of`.
    """

    Identity: type[Any]
    Settings: type[Any]

    def plan(self, run: Any) -> Iterator[list[Work[Any, Any]]]:
        """List the stage's units in waves; a wave may use what the waves before it committed."""
        ...

    def perform(self, work: Work[Any, Any], into: Attempt) -> Json:
        """Write the unit's outputs into the attempt and return the facts for its record."""
        ...


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _plain(value: Any) -> Json:
    kind: Any = type(value)
    return dict(_adapter(kind).dump_python(value, mode="json"))


@cache
def stage_module(stage: str) -> Any:
    """Import the stage's file, from `pipeline/stages/` or one of its rooms."""
    return registry.load(importlib.import_module("pipeline.stages"), "stage", stage)


def share_of(threads: int | None, workers: int | None) -> int | None:
    """Say how many threads a unit has: as many as are asked for, else a worker's share of the cores.

    Args:
        threads: What is asked for.
        workers: Worker processes of this machine; None where there are none.

    Returns:
        The number; None takes what the process may use.
    """
    if threads is not None or workers is None:
        return threads
    return max(1, len(os.sched_getaffinity(0)) // max(1, workers))


def threads_of(stage: str, allowed: int | None, units: int) -> int:
    """Say how many of a stage's units threads of one process perform side by side.

    One at a time, but for a stage that says `SIDE_BY_SIDE = True`: its units work mostly without Python's lock, and
    look at whether they are still wanted (`pipeline.execution.side_by_side`).
    """
    if not getattr(stage_module(stage), "SIDE_BY_SIDE", False):
        return 1
    return min(allowed or len(os.sched_getaffinity(0)), MOST, units)


def together(works: Iterable[Work[Any, Any]]) -> list[list[Work[Any, Any]]]:
    """Put units that share a pass together, in the order of the first of each: what one task performs."""
    groups: dict[str, list[Work[Any, Any]]] = {}
    for work in works:
        groups.setdefault(work.together or f"alone {work.name}", []).append(work)
    return list(groups.values())


def task_of(works: Sequence[Work[Any, Any]], known: Json, invited: list[str] | None = None) -> Task:
    """Describe units that are performed together for an executor.

    `invited` is for workers of other machines (None for those of this one): see `pipeline.commit.joining`.
    """
    # Units that share a pass mostly read the same files, of which there may be thousands: they are named once.
    inputs: list[tuple[Input, ...]] = []
    units = []
    for work in works:
        if not inputs or inputs[-1] != work.inputs:
            inputs.append(work.inputs)
        units.append(work.to_json() | {"inputs": len(inputs) - 1})
    files = [[asdict(one) for one in of] for of in inputs]
    keys = {one.key for of in inputs for one in of}
    content = {key: content for key, content in known.items() if key in keys}
    committed = {one.path: one for work in works for one in work.committed}
    arguments = {
        "units": units,
        "inputs": files,
        "known": content,
        "committed": [[one.path, one.bytes, one.sha256] for one in committed.values()],
        "invited": invited,
        "brought": [] if invited is None else told(one.path for of in inputs for one in of),
    }
    more = f" and {len(works) - 1} more" if len(works) > 1 else ""
    return Task("pipeline.execution.performing:perform", arguments, label=f"{works[0].label}{more}")


def work_of(unit: Json, inputs: tuple[Input, ...]) -> Work[Any, Any]:
    """Read a unit as `Work.to_json` writes it."""
    module = stage_module(unit["stage"])
    return Work(
        unit["stage"],
        unit["name"],
        _adapter(module.Identity).validate_python(unit["identity"]),
        _adapter(module.Settings).validate_python(unit["settings"]),
        Place(**unit["place"]),
        inputs,
        part=None if unit["part"] is None else tuple(unit["part"]),
    )


def bytes_read(works: Iterable[Work[Any, Any]]) -> int:
    """Add up what units read, the user's files and those of earlier units: each once where units share a pass."""
    total = 0
    for group in together(works):
        files = {one.key: one.bytes for work in group for one in work.inputs}
        made = {one.path: one.bytes for work in group for one in work.committed}
        total += sum(files.values()) + sum(made.values())
    return total


def content_fingerprint(contents: Iterable[tuple[str, str]]) -> str:
    """Name the content of some inputs, each by its name in its set: what a record keeps of them."""
    return fingerprint(*sorted(contents))
