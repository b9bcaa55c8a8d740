"""What the driver knows while it plans one stage after the other."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from pipeline import layout
from pipeline.commit import Output, Record, check_sound, fingerprint
from pipeline.commit.on_stores import bring_missing
from pipeline.execution.work import Json, Place
from pipeline.files.inputs import Input, Ledger
from pipeline.files.storage import write_atomic
from pipeline.measuring import Instance, levels
from pipeline.plan import Plan
from pipeline.readers import Shard, check_names, format_of, listing_stamp, open_reader
from pipeline.sets.own_columns import own_columns
from pipeline.sets.parts import EMBED_ROWS, Group, grouped
from pipeline.sets.source import Source

Found = TypeVar("Found")


@dataclass(slots=True)
class RunContext:
    """A plan on its way.

    Attributes:
        plan: The resolved plan.
        out: The output folder.
        ledger: What is known of the inputs' content.
        place: What every unit is told.
        command: The command that reproduces the run, for the report.
        moved: Sets whose path is not the one of the last run.
        done: The records of this plan's finished units, by stage and unit name, in planned order; see `finish`.
    """

    plan: Plan
    out: Path
    ledger: Ledger
    place: Place
    command: str
    moved: frozenset[str] = frozenset()
    done: dict[str, dict[str, Record]] = field(default_factory=dict)
    _outputs: dict[str, Output] = field(default_factory=dict)
    _listed: dict[str, Json] | None = None
    _noted: bool = True  # whether the file of shards says all of `_listed`
    _shards: dict[str, list[Shard]] = field(default_factory=dict)
    _memory: dict[str, Any] = field(default_factory=dict)

    def once(self, key: str, find: Callable[[], Found]) -> Found:
        """Find something out once for the whole run."""
        if key not in self._memory:
            self._memory[key] = find()
        found: Found = self._memory[key]
        return found

    def levels(self) -> list[list[Instance]]:
        """List the plan's measures in waves: each needs only those of the waves before it."""
        return self.once("levels", lambda: levels(self.plan))

    def instances(self) -> dict[str, Instance]:
        """Find the plan's measures by name."""
        return self.once("instances", lambda: {one.name: one for level in self.levels() for one in level})

    def sets(self) -> dict[str, Source]:
        """Name every set that the plan reads: pool, reference, the benchmarks in plan order, further sources."""
        named: dict[str, Source] = {"pool": self.plan.pool}
        if self.plan.reference is not None:
            named["reference"] = self.plan.reference
        return named | dict(self.plan.benchmarks) | dict(self.plan.sources)

    def found(self, name: str) -> Source:
        """Return a set with its format, which is found out once where the plan does not name it."""
        source = self.sets()[name]
        return self.once(f"format of {name}", lambda: source.model_copy(update={"format": format_of(source)}))

    def shards(self, name: str) -> list[Shard]:
        """List the shards of a set: looked at once in a run, and again in the next only if a file has changed."""
        if name not in self._shards:
            source = self.found(name)
            stamp = f"{source.path} {fingerprint(source.format, source.options)} {listing_stamp(source)}"
            known = self._remembered().get(name, {})
            if known.get("stamp") == stamp:
                found = [Shard.from_json(one) for one in known["shards"]]
            else:
                found = open_reader(source).shards(source)
                check_names(found)
                self._remembered()[name] = {"stamp": stamp, "shards": [shard.to_json() for shard in found]}
                self._noted = False
            self._shards[name] = found
        return self._shards[name]

    def columns(self, name: str) -> dict[str, Any]:
        """List the columns that a set's samples will have, with their types, by its files' footers."""

        def find() -> dict[str, Any]:
            shards = self.shards(name)
            known = self._remembered()[name]
            if "columns" not in known:
                schema = pa.schema(list(own_columns(self.found(name), shards).items()))
                known["columns"] = base64.b64encode(schema.serialize()).decode()
                self._noted = False
            schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(known["columns"])))
            return {field.name: field.type for field in schema}

        return self.once(f"columns of {name} by its files", find)

    def groups(self, name: str, embeds: bool) -> list[tuple[Group, list[Shard]]]:
        """Cut a set into parts, each with its shards; `embeds` says whether reading it makes embeddings."""
        shards = self.shards(name)
        enough = min(self.plan.engine.unit_rows, EMBED_ROWS) if embeds else self.plan.engine.unit_rows
        by_name = {shard.name: shard for shard in shards}
        return [(part, [by_name[one] for one in part.shards]) for part in grouped(shards, enough)]

    def remember_shards(self) -> None:
        """Write down which shards each set has, so that the next run need not open every file to know."""
        sets = self._remembered()
        if not self._noted or not (self.out / layout.SHARDS).is_file():
            content = json.dumps({"digest": _digest(sets), "sets": sets}, sort_keys=True).encode()
            write_atomic(self.out, layout.SHARDS, content)
            self._noted = True

    def _remembered(self) -> dict[str, Json]:
        if self._listed is None:
            try:
                found = json.loads((self.out / layout.SHARDS).read_bytes())
            except (OSError, ValueError):
                found = {}
            sets = found.get("sets") if isinstance(found, dict) else None
            # A shard that has other rows than are noted would become another part: what is doubtful is looked at again.
            whole = isinstance(sets, dict) and found.get("digest") == _digest(sets)
            self._listed = sets if whole and sets is not None else {}
            self._noted = whole
        return self._listed

    def known(self, inputs: Iterable[Input]) -> Json:
        """Say what is in some inputs, of those that have not changed since they were read."""
        paths = {one.key: one.path for one in inputs}
        found = ((key, self.ledger.content(key, path)) for key, path in paths.items())
        return {key: content for key, content in found if content is not None}

    def finish(self, record: Record) -> None:
        """Take the record of a unit that is done."""
        self.done.setdefault(record.stage, {})[record.name] = record
        self._outputs |= {output.path: output for output in record.outputs}

    def outputs(self, paths: Iterable[str]) -> tuple[Output, ...]:
        """Find files that finished units committed, by their paths: absolute ones, or below the output folder."""
        root = f"{self.out}/"
        return tuple(self._outputs[path.removeprefix(root)] for path in dict.fromkeys(paths))

    def record(self, stage: str, name: str) -> Record:
        """Return the record of a unit that this run has done or found done."""
        return self.done[stage][name]

    def records(self, stage: str) -> list[Record]:
        """List this plan's finished records of a stage, in planned order."""
        return list(self.done.get(stage, {}).values())

    def part_records(self, stage: str, name: str) -> list[Record]:
        """List those of the units that are for one part each: `name`, and the part's number behind it."""
        unit = re.compile(f"{re.escape(name)}[- ][0-9]{{4,}}")
        return [record for found, record in self.done.get(stage, {}).items() if unit.fullmatch(found)]

    def check_sound(self, outputs: Iterable[Output]) -> None:
        """Hash outputs before the driver decides anything from them.

        Raises:
            OutputError: If one is not what was committed.
        """
        check_sound(self.out, outputs, self.place.threads)

    def bring(self, outputs: Iterable[Output]) -> None:
        """Have outputs at hand that may be on a store alone, before the driver looks at what they are like."""
        bring_missing(self.out, outputs)

    def path(self, relative: str) -> str:
        """Locate an output of this run."""
        return str(self.out / relative)


def _digest(sets: dict[str, Json]) -> str:
    """sha256 of what is noted of sets; of short JSON, since that of thousands of shards is looked at in each run."""
    return hashlib.sha256(json.dumps(sets, sort_keys=True).encode()).hexdigest()


def digests(records: list[Record], under: str = "") -> list[str]:
    """List the sha256 of the records' outputs whose path begins with `under`."""
    return [output.sha256 for record in records for output in record.outputs if output.path.startswith(under)]


def paths(records: list[Record], under: str) -> list[str]:
    """List the records' output paths (relative to the output folder) that begin with `under`."""
    return [output.path for record in records for output in record.outputs if output.path.startswith(under)]


def inside(file: str, root: str) -> str:
    """Name a file by its place inside the set, so that a set that moved is still the same set."""
    if file.startswith(f"{root}/"):
        return file[len(root) + 1 :]
    path, folder = Path(file).resolve(), Path(root).resolve()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name


def described(value: Any) -> Json:
    """Write a dataclass as JSON has it."""
    return dict(asdict(value))


def merged_counts(many: list[Any]) -> dict[str, int]:
    """Add up counts by name."""
    total: dict[str, int] = {}
    for counts in many:
        for name, count in counts.items():
            total[name] = total.get(name, 0) + count
    return total
