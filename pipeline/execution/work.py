"""Units of work as the driver describes them and as a worker performs them."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from pydantic import TypeAdapter

from indexes import registry
from indexes.errors import DataError, OutputError
from pipeline.commit import Attempt, Record, Unit, attempt, find, fingerprint, forget
from pipeline.execution.tasks import Task
from pipeline.files.inputs import Input, Read, Stamp, content_of, stamp_of

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
        part: The set and the number of the part that it is for; when that part is gone, so is what the unit made.
        together: Units of a wave with the same text here are performed by one call, which can share a pass.
        rows: Rows that the unit looks at, for progress and estimates.
        reads: Bytes that it reads, for the same.
    """

    stage: str
    name: str
    identity: Identity
    settings: Settings
    place: Place
    inputs: tuple[Input, ...] = ()
    part: tuple[str, int] | None = None
    together: str = ""
    rows: int = 0
    reads: int = 0

    def unit(self) -> Unit:
        """Name the unit for the commit protocol."""
        identity = _plain(self.identity)
        return Unit(self.stage, self.name, fingerprint(self.stage, self.name, OUTPUT_VERSION, identity))

    @property
    def label(self) -> str:
        """The unit as messages name it."""
        return f"{self.stage}/{self.name}"

    def to_json(self) -> Json:
        """Describe the unit, but for its inputs."""
        return {
            "stage": self.stage,
            "name": self.name,
            "identity": _plain(self.identity),
            "settings": _plain(self.settings),
            "place": asdict(self.place),
            "part": self.part,
        }


class Stage(Protocol):
    """What a file in `pipeline/stages/` provides; one without `plan` is planned by another and only performs."""

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


def task_of(works: Sequence[Work[Any, Any]], known: Json) -> Task:
    """Describe units that are performed together for an executor."""
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
    arguments = {"units": units, "inputs": files, "known": content}
    more = f" and {len(works) - 1} more" if len(works) > 1 else ""
    return Task("pipeline.execution.work:perform", arguments, label=f"{works[0].label}{more}")


def perform(units: Sequence[Json], inputs: Sequence[Sequence[Json]], known: Json) -> list[list[Any]]:
    """Do units of one stage, but for those whose records stand; runs in the driver or in a worker.

    Args:
        units: The units, as `Work.to_json` writes them; `inputs` says which of the lists of inputs is theirs.
        inputs: Lists of inputs.
        known: What is in their inputs, by key, of those that have not changed since they were read.

    Returns:
        What was read: an entry of the ledger for each input (see `pipeline.files.inputs`).
    """
    module = stage_module(units[0]["stage"])
    reads = {key: Read(key, (0, 0, 0), content) for key, content in known.items()}
    files = [tuple(Input(**one) for one in of) for of in inputs]
    works = [_from_json(module, unit, files[unit["inputs"]]) for unit in units]
    todo = [work for work in works if not _stands(work, reads)]
    if todo:
        _perform(module, todo, reads)
    return [read.entry() for read in reads.values() if read.key not in known]


def _perform(module: Any, todo: list[Work[Any, Any]], reads: dict[str, Read]) -> None:
    inputs = {one.key: one for work in todo for one in work.inputs}
    before = {key: stamp_of(one.path) for key, one in inputs.items()}
    with ExitStack() as stack:
        attempts = [stack.enter_context(attempt(Path(work.place.out), work.unit())) for work in todo]
        for into in attempts:
            into.noted |= {key: reads[key].content for key in inputs if key in reads}
        if hasattr(module, "perform_many"):
            facts = module.perform_many(todo, attempts)
        else:
            facts = (module.perform(work, into) for work, into in zip(todo, attempts, strict=True))
        for work, into, found in zip(todo, attempts, facts, strict=True):
            _take_contents(work, into, before, reads)
            more = {"inputs": _content(work, reads)} if work.inputs else {}
            into.commit(found | more | ({"part": work.part} if work.part else {}))


def _from_json(module: Any, unit: Json, inputs: tuple[Input, ...]) -> Work[Any, Any]:
    return Work(
        unit["stage"],
        unit["name"],
        _adapter(module.Identity).validate_python(unit["identity"]),
        _adapter(module.Settings).validate_python(unit["settings"]),
        Place(**unit["place"]),
        inputs,
        None if unit["part"] is None else tuple(unit["part"]),
    )


def _take_contents(
    work: Work[Any, Any], into: Attempt, before: dict[str, Stamp], reads: dict[str, Read]
) -> None:
    """Learn what was in the unit's inputs; one that the stage did not note is read for it."""
    for one in work.inputs:
        if one.key in reads:
            continue
        content = into.noted.get(one.key) or content_of(one)
        if stamp_of(one.path) != before[one.key]:
            raise DataError(
                f"'{one.path}' changed while it was read; stop what is writing to it and run again"
            )
        reads[one.key] = Read(one.key, before[one.key], content)


def _content(work: Work[Any, Any], reads: Mapping[str, Read]) -> str:
    return content_fingerprint((one.name, reads[one.key].content) for one in work.inputs)


def content_fingerprint(contents: Iterable[tuple[str, str]]) -> str:
    """Name the content of some inputs, each by its name in its set: what a record keeps of them."""
    return fingerprint(*sorted(contents))


def _stands(work: Work[Any, Any], reads: dict[str, Read]) -> bool:
    """Say whether the unit's record holds for the files that are there now; one that does not is forgotten."""
    out, unit = Path(work.place.out), work.unit()
    record = find(out, unit)
    if record is None:
        return False
    for one in work.inputs:
        if one.key not in reads:
            reads[one.key] = Read(one.key, stamp_of(one.path), content_of(one))
    if not work.inputs or record.facts["inputs"] == _content(work, reads):
        return True
    _refuse_to_replace(work, record)
    forget(out, unit)
    return False


def _refuse_to_replace(work: Work[Any, Any], record: Record) -> None:
    """Embeddings of a set that was elsewhere are not written over: it may be another set."""
    if getattr(work.settings, "moved", False) and record.facts.get("encoder"):
        where = Path(work.inputs[0].path).parent
        raise OutputError(
            f"{work.place.out} holds embeddings ({work.label}) that were made of other files than those that are in "
            f"'{where}' now, and the set's path in the plan has changed. Name another output, put the former path "
            "back, or add --overwrite to remove what is there"
        )
