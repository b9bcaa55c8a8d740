"""What a user's table says of each sample: one join with the whole pool, a file for each part. Planned by `measure`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from curation.measures.told._told import TOLD_SCHEMA, ToldMeasure, ToldTable
from pipeline import layout
from pipeline.commit import Attempt, output_of
from pipeline.execution.context import RunContext
from pipeline.execution.costs import Cost, Rates, rows_of
from pipeline.execution.work import Json, Work
from pipeline.files.database import connect
from pipeline.files.inputs import Input
from pipeline.files.parquet import write_parquet
from pipeline.measuring import Instance
from pipeline.passes.located import parts_of
from pipeline.passes.looked_at import told_unit
from pipeline.passes.measure_unit import Other
from pipeline.passes.part_pass import Pass
from pipeline.plan.told_tables import ToldColumns, told_columns
from pipeline.sets.parts import Part
from pipeline.stages.brought._joined import join, load_pairs, told_of

NEED = "told"


@dataclass(frozen=True, slots=True)
class Identity:
    """What decides a unit's bytes beside the table: its columns, and the rows of each part that take part."""

    columns: Json
    parts: tuple[tuple[int, str, tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the table and the parts lie."""

    table: str
    parts: tuple[Part, ...]
    key: str


def wave(run: RunContext, level: Sequence[Instance]) -> Iterator[list[Work[Identity, Settings]]]:
    """Plan one unit for each table that measures ask for, where there is one."""
    asked = {
        told_unit(one.measure): (one.measure.told(), one.name)
        for one in level
        if isinstance(one.measure, ToldMeasure)
    }
    if asked:
        yield [_work(run, key, wanted, name) for key, (wanted, name) in asked.items()]


def _told(run: RunContext) -> dict[str, ToldTable]:
    """List the tables that measures read, by the unit that joins them."""
    measures = [one.measure for one in run.instances().values()]
    return {told_unit(each): each.told() for each in measures if isinstance(each, ToldMeasure)}


def told_part(run: RunContext, measure: ToldMeasure, part: Part) -> tuple[Other, str]:
    """Locate what the table says of a part, and give the digest of it."""
    key = told_unit(measure)
    path = layout.told(key, part.number)
    digest = output_of(run.record("tell", key), path).sha256
    return Other(NEED, (run.path(path),), tuple(TOLD_SCHEMA.names)), digest


def expect(run: RunContext, rates: Rates) -> Cost:
    """Tables are read once; a join costs about what it reads."""
    tables = _told(run)
    size = sum(Path(told.path).stat().st_size for told in tables.values())
    rows = len(tables) * rows_of(run, "pool")
    return Cost(len(tables), size, size, size / rates.read_bytes, rows)


def _work(run: RunContext, key: str, wanted: ToldTable, name: str) -> Work[Identity, Settings]:
    parts, columns = tuple(parts_of(run, "pool")), told_columns(wanted, f"measures.{name}")
    identity = Identity(asdict(columns), tuple((part.number, part.digest, part.skip) for part in parts))
    path = Path(wanted.path).absolute()
    return Work(
        "tell",
        key,
        identity,
        Settings(str(path), parts, key),
        run.place,
        (Input(str(path), path.name),),
        run.outputs(part.samples for part in parts),
        rows=sum(part.counted for part in parts),
    )


def perform(work: Work[Identity, Settings], into: Attempt) -> Json:
    """Join, and write what is said of each part's rows."""
    settings, place = work.settings, work.place
    columns = ToldColumns(**work.identity.columns)
    with connect(Path(place.out), place.memory_limit, place.threads) as db:
        counts = load_pairs(db, settings.table, columns)
        counts |= join(db, columns, settings.parts)
        for part, table in told_of(db, settings.parts, _rows):
            relative = layout.told(settings.key, part.number)
            into.add(relative, rows=write_parquet(into.file(relative), table, TOLD_SCHEMA))
    return {"told": counts}


def _rows(part: Part) -> np.ndarray[Any, Any]:
    found = [rows.table.column("row").to_numpy() for rows in Pass(part, {}).blocks()]
    return np.concatenate([np.empty(0, np.int64), *found])
