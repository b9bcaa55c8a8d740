"""Units of work as the driver describes them and as a worker performs them."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pipeline.commit import Attempt, Record, Unit, attempt, find, fingerprint
from pipeline.execution.executors import Task
from pipeline.files.digests import InputDigests
from pipeline.plan import Plan
from pipeline.readers import Reader, Shard, open_reader
from pipeline.sets.source import Source

# Part of every fingerprint: raised when a change of code changes what the same inputs give.
OUTPUT_VERSION = 1

Json = dict[str, Any]


class Stage(Protocol):
    """What a file in `pipeline/stages/` provides."""

    def plan(self, run: RunContext) -> Iterator[list[Work]]:
        """Give the stage's units in waves; a wave may use what the waves before it committed."""
        ...

    def perform(self, work: Work, into: Attempt) -> Json:
        """Write the unit's outputs into the attempt and return the facts for its record."""
        ...


@dataclass(frozen=True, slots=True)
class Work:
    """One unit, described small enough to be sent anywhere; data goes by path.

    Attributes:
        stage: Name of a file in `pipeline/stages/`.
        name: The unit within the stage.
        identity: What decides the output bytes: digests of inputs and options. Its fingerprint is the unit's.
        settings: What does not: folders, device, threads, memory.
        rows: Rows that the unit looks at, for progress and estimates.
        reads: Bytes that the unit reads, for the same.
    """

    stage: str
    name: str
    identity: Json
    settings: Json
    rows: int = 0
    reads: int = 0

    def unit(self) -> Unit:
        """Name the unit for the commit protocol."""
        return Unit(self.stage, self.name, fingerprint(self.stage, self.name, OUTPUT_VERSION, self.identity))

    def task(self) -> Task:
        """Describe the unit for an executor."""
        return Task(
            "pipeline.execution.work:perform",
            {"stage": self.stage, "name": self.name, "identity": self.identity, "settings": self.settings},
            label=f"{self.stage}/{self.name}",
        )


def stage_module(stage: str) -> Stage:
    """Import `pipeline/stages/<stage>.py`."""
    module: Any = importlib.import_module(f"pipeline.stages.{stage}")
    return module  # type: ignore[no-any-return]


def perform(stage: str, name: str, identity: Json, settings: Json) -> None:
    """Do one unit, unless its record already stands; runs in the driver or in a worker."""
    work = Work(stage, name, identity, settings)
    out = Path(settings["out"])
    unit = work.unit()
    if find(out, unit) is not None:
        return
    with attempt(out, unit) as into:
        into.commit(stage_module(stage).perform(work, into))


@dataclass(slots=True)
class RunContext:
    """What the driver knows while it plans one stage after the other.

    Attributes:
        plan: The resolved plan.
        out: The output folder.
        digests: Cache of input digests.
        settings: Settings that every unit gets (`out`, `device`, `threads`, `memory_limit`).
        command: The command that reproduces the run, for the report.
        done: The records of this plan's finished units, by stage and unit name, in planned order.
    """

    plan: Plan
    out: Path
    digests: InputDigests
    settings: Json
    command: str
    done: dict[str, dict[str, Record]] = field(default_factory=dict)
    _shards: dict[str, list[Shard]] = field(default_factory=dict)

    def sets(self) -> dict[str, Source]:
        """Name every set that the plan reads: the pool, the reference, then the benchmarks in plan order."""
        named: dict[str, Source] = {"pool": self.plan.pool}
        if self.plan.reference is not None:
            named["reference"] = self.plan.reference
        return named | dict(self.plan.benchmarks)

    def reader(self, name: str) -> Reader:
        """Open the reader of a set."""
        return open_reader(self.sets()[name])

    def shards(self, name: str) -> list[Shard]:
        """List the shards of a set, once for the whole run."""
        if name not in self._shards:
            self._shards[name] = self.reader(name).shards(self.sets()[name])
        return self._shards[name]

    def records(self, stage: str, prefix: str = "") -> list[Record]:
        """Give this plan's finished records of a stage whose unit name begins with `prefix`, in planned order."""
        return [record for name, record in self.done.get(stage, {}).items() if name.startswith(prefix)]

    def path(self, relative: str) -> str:
        """Locate an output of this run."""
        return str(self.out / relative)


def output_digests(records: list[Record], under: str = "") -> list[str]:
    """List the sha256 of the records' outputs whose path begins with `under`."""
    return [output.sha256 for record in records for output in record.outputs if output.path.startswith(under)]


def output_paths(records: list[Record], under: str) -> list[str]:
    """List the records' output paths (relative to the output folder) that begin with `under`."""
    return [output.path for record in records for output in record.outputs if output.path.startswith(under)]


def merged_counts(many: list[Mapping[str, int]]) -> dict[str, int]:
    """Add up counts by name."""
    total: dict[str, int] = {}
    for counts in many:
        for name, count in counts.items():
            total[name] = total.get(name, 0) + count
    return total
