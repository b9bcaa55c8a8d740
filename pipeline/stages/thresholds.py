"""Per query, the similarity of the nearest reference sample: τ_q (METHODS: similarity gap of the reference).

It is exact with every backend that a plan may name, for `calibrate` is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from indexes.errors import DataError
from pipeline import layout
from pipeline.commit import Attempt
from pipeline.execution.context import RunContext, digests, paths
from pipeline.execution.costs import Cost, Rates, queries_of
from pipeline.execution.work import Json, Work
from pipeline.files.parquet import read_parquet, write_parquet
from pipeline.passes.merging import merge

AFTER = ("calibrate",)
ADDED = [("threshold", pa.float64()), ("reference_uid", pa.string()), ("reference_key", pa.string())]


@dataclass(frozen=True, slots=True)
class Identity:
    """What decides a unit's bytes: the benchmark's images, and what each part of the reference has for them."""

    benchmark: str
    images: tuple[str, ...]
    calibrated: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """The files of both."""

    images: str
    parts: tuple[str, ...]


def plan(run: RunContext) -> Iterator[list[Work[Identity, Settings]]]:
    """List one unit per benchmark."""
    works = []
    for name in run.plan.benchmarks:
        index, calibrated = run.record("index", name), run.part_records("calibrate", name)
        images, under = layout.images(name), layout.folder(layout.calibration(name, 0))
        identity = Identity(name, tuple(digests([index], images)), tuple(digests(calibrated, under)))
        settings = Settings(run.path(images), tuple(run.path(path) for path in paths(calibrated, under)))
        committed, rows = run.outputs((settings.images, *settings.parts)), index.facts["queries"]
        works.append(Work("thresholds", name, identity, settings, run.place, committed=committed, rows=rows))
    yield works


def expect(run: RunContext, rates: Rates) -> Cost:
    """One unit a benchmark."""
    return Cost(len(run.plan.benchmarks), rows=queries_of(run))


def perform(work: Work[Identity, Settings], into: Attempt) -> Json:
    """Write a benchmark's queries with their thresholds; null where the plan has no reference."""
    images = read_parquet(Path(work.settings.images))
    nearest = _nearest(work, len(images)) if work.settings.parts else _none(len(images))
    table = images
    for name, _ in ADDED:
        table = table.append_column(name, nearest.column(name))
    relative = layout.index(work.identity.benchmark, "queries.parquet")
    into.add(relative, rows=write_parquet(into.file(relative), table, table.schema))
    return {"queries": len(table), "calibrated": bool(work.settings.parts)}


def _none(rows: int) -> pa.Table:
    return pa.table([pa.nulls(rows, kind) for _, kind in ADDED], names=[name for name, _ in ADDED])


def _nearest(work: Work[Identity, Settings], queries: int) -> pa.Table:
    """Take the maximum over the reference's parts; ties go to the lower uid."""
    found = merge([read_parquet(Path(path)) for path in work.settings.parts], k=1)
    if not np.array_equal(found.column("query").to_numpy(), np.arange(queries)):
        raise DataError(
            f"the reference gives a threshold for {len(found)} of {queries} queries of {work.identity.benchmark}; "
            "a query without one would never drop anything, so the run stops: the reference has no usable vectors"
        )
    columns = [found.column("similarity"), found.column("uid"), found.column("key")]
    return pa.table(columns, names=[name for name, _ in ADDED])
