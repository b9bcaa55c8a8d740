"""Vectors that others are compared with as indexes, and the images they are made of: any FAISS user can open them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from indexes.errors import DataError
from pipeline import layout
from pipeline.commit import Attempt
from pipeline.execution.context import RunContext
from pipeline.execution.costs import Cost, Rates, rows_of, width_of
from pipeline.execution.work import Json, Work
from pipeline.files.index_file import Description, save_index
from pipeline.files.parquet import write_parquet
from pipeline.measuring import encoder_name
from pipeline.passes.located import (
    committed_of,
    groups_of,
    indexed_sets,
    inputs_of,
    parts_of,
    stored,
    stored_identity,
)
from pipeline.passes.part_pass import QUARANTINED_SCHEMA, Pass, count_reasons, lane
from pipeline.sets.parts import Part, Stored
from pipeline.stages.catalog import check_encoders, encoder_of

AFTER = ("embed",)
COLUMNS = ("uid", "key", "label", "caption", "image_sha256")


@dataclass(frozen=True, slots=True)
class Identity:
    """What decides a unit's bytes: the set's rows and vectors, and who made them."""

    benchmark: str
    rows: tuple[str, ...]
    vectors: tuple[str, ...]
    encoder: Json | None


@dataclass(frozen=True, slots=True)
class Settings:
    """The parts with their vectors, and the set's path for messages."""

    parts: tuple[tuple[Part, Stored], ...]
    path: str


def plan(run: RunContext) -> Iterator[list[Work[Identity, Settings]]]:
    """List one unit per benchmark, and per further set that is a measure's target."""
    check_encoders(run)
    works = []
    for name in indexed_sets(run):
        encoder = encoder_name(run.plan, name)
        shards = dict(groups_of(run, name))
        parts = tuple(
            (part, stored(run, name, part.number, shards[part.number], encoder, "image"))
            for part in parts_of(run, name)
        )
        vectors = tuple(stored_identity(run, found) for _, found in parts)
        rows = tuple(part.digest for part, _ in parts)
        identity = Identity(name, rows, vectors, encoder_of(run, name, encoder))
        inputs = inputs_of(run, [found for _, found in parts])
        settings = Settings(parts, run.sets()[name].path)
        size = sum(part.rows for part, _ in parts)
        committed = tuple(one for part, found in parts for one in committed_of(run, part, [found]))
        works.append(Work("index", name, identity, settings, run.place, inputs, committed, rows=size))
    yield works


def expect(run: RunContext, rates: Rates) -> Cost:
    """Every query's vector is written as float32, which FAISS takes."""
    names = indexed_sets(run)
    queries = sum(rows_of(run, name) for name in names)
    return Cost(len(names), writes=queries * width_of(run) * 4 if queries else 0, rows=queries)


def perform(work: Work[Identity, Settings], into: Attempt) -> Json:
    """Gather a set's healthy vectors, in the order of its rows, and save them with their images' rows."""
    name = work.identity.benchmark
    vectors, images, lost, normalised = _gather(work, into)
    if not len(vectors):
        raise DataError(
            f"'{name}' ({work.settings.path}) has no usable vector; a comparison with nothing would call "
            "every sample far, so the run stops: check its files"
        )
    path = layout.index(name, "index.faiss")
    save_index(vectors, into.file(path))
    into.add(path, rows=len(vectors))
    for path, table in (
        (layout.images(name), images),
        (layout.set_aside(name, "image", 0), lost),
    ):
        into.add(path, rows=write_parquet(into.file(path), table, table.schema))
    described = Description(name, len(vectors), vectors.shape[1], work.identity.encoder)
    path = layout.index(name, "index.json")
    into.file(path).write_text(described.dumps())
    into.add(path)
    return {
        "queries": len(vectors),
        "width": vectors.shape[1],
        "encoder": work.identity.encoder,
        "quarantined": count_reasons([lost]),
        "normalised": normalised,
    }


def _gather(work: Work[Identity, Settings], into: Attempt) -> tuple[np.ndarray, pa.Table, pa.Table, int]:
    key = lane("", "image")
    vectors, images, lost, normalised = [], [], [QUARANTINED_SCHEMA.empty_table()], 0
    for part, found in work.settings.parts:
        looking = Pass(part, {key: found}, COLUMNS, into.noted)
        for rows in looking.blocks():
            mask = rows.healthy([key])
            vectors.append(rows.vectors(key, mask))
            images.append(rows.table.select(list(COLUMNS)).filter(pa.array(mask)))
            lost.append(rows.set_aside(key))
            normalised += rows.lanes[key].normalised
        into.noted |= looking.contents()
    if not vectors:
        raise DataError(f"'{work.identity.benchmark}' has no vectors at all; check its files")
    table = pa.concat_tables(images)
    table = table.add_column(0, "query", pa.array(np.arange(len(table), dtype=np.int32)))
    return np.concatenate(vectors), table, pa.concat_tables(lost), normalised
