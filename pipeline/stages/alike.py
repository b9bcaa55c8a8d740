"""Near-duplicates within a benchmark, or within the reference: how near each sample comes to those before it.

It is what the measure `duplicates` says of the pool (`rule: clip_ood`), of a set taken whole in the order of its uids:
a test set that holds an image twice counts it twice, and two labels of one image cannot both be right.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from indexes.greedy.earlier import nearest_earlier, uid_ranks
from pipeline import layout
from pipeline.commit import Attempt
from pipeline.execution.context import RunContext
from pipeline.execution.costs import Cost, Rates, rows_of, width_of
from pipeline.execution.work import Json, Work
from pipeline.files.parquet import write_parquet
from pipeline.files.storage import output_errors
from pipeline.measuring import encoder_name
from pipeline.passes.located import committed_of, groups_of, inputs_of, parts_of, stored, stored_identity
from pipeline.passes.packed_queries import scan_options
from pipeline.passes.part_pass import Pass, lane, pairs
from pipeline.sets.parts import Part, Stored

AFTER = ("index",)
COLUMNS = ("uid", "key", "label", "image_sha256")
SCHEMA = pa.schema(
    [
        ("uid", pa.string()),
        ("key", pa.string()),
        ("label", pa.string()),
        ("image_sha256", pa.string()),
        # The nearest of the samples with a lower uid, ties to the lower; NULL for the first one.
        ("nearest", pa.string()),
        ("similarity", pa.float64()),
    ]
)
LANE = lane("", "image")


@dataclass(frozen=True, slots=True)
class Identity:
    """What decides a unit's bytes: the set's rows and vectors."""

    name: str
    rows: tuple[str, ...]
    skip: tuple[tuple[int, ...], ...]
    vectors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """The parts with their vectors."""

    parts: tuple[tuple[Part, Stored], ...]


def plan(run: RunContext) -> Iterator[list[Work[Identity, Settings]]]:
    """List one unit per set that `audit.within` names."""
    yield [_unit(run, name) for name in _names(run)]


def _names(run: RunContext) -> list[str]:
    within = run.plan.audit.within
    return list(run.plan.benchmarks) if within is None else list(dict.fromkeys(within))


def _unit(run: RunContext, name: str) -> Work[Identity, Settings]:
    # The reference has embeddings of every encoder that a benchmark is compared in.
    compared = name if name in run.plan.benchmarks else next(iter(run.plan.benchmarks), name)
    encoder, shards = encoder_name(run.plan, compared), dict(groups_of(run, name))
    parts = tuple(
        (part, stored(run, name, part.number, shards[part.number], encoder, "image"))
        for part in parts_of(run, name)
    )
    identity = Identity(
        name,
        tuple(part.digest for part, _ in parts),
        tuple(part.skip for part, _ in parts),
        tuple(stored_identity(run, found) for _, found in parts),
    )
    inputs = inputs_of(run, [found for _, found in parts])
    committed = tuple(one for part, found in parts for one in committed_of(run, part, [found]))
    rows = sum(part.counted for part, _ in parts)
    return Work("alike", name, identity, Settings(parts), run.place, inputs, committed, rows=rows)


def expect(run: RunContext, rates: Rates) -> Cost:
    """Every sample of a set is compared with those before it."""
    rows = [rows_of(run, name) for name in _names(run)]
    width = width_of(run) if rows else 0
    pairs_compared = sum(each * each // 2 for each in rows)
    seconds = pairs_compared * width / rates.products
    return Cost(len(rows), sum(rows) * width * 2, seconds=seconds, rows=sum(rows))


def perform(work: Work[Identity, Settings], into: Attempt) -> Json:
    """Put the set's vectors beside one another, and look back from each."""
    rows, vectors = _gathered(work, into)
    uids = pairs(rows)
    order = np.argsort(uid_ranks(uids))
    found = nearest_earlier(vectors, uids, order, scan_options(work.place, 1))
    first = found.row < 0
    nearest = rows.column("uid").take(pa.array(order[found.row], mask=first))
    table = rows.take(pa.array(order)).append_column("nearest", nearest)
    table = table.append_column("similarity", pa.array(found.similarity, mask=first))
    relative = layout.alike(work.identity.name)
    into.add(relative, rows=write_parquet(into.file(relative), table.cast(SCHEMA), SCHEMA))
    return {"samples": len(table)}


def _gathered(work: Work[Identity, Settings], into: Attempt) -> tuple[pa.Table, NDArray[np.float16]]:
    """Read the rows that can be compared and, into a scratch file, their `(n, d)` vectors."""
    tables = [SCHEMA.empty_table().select(list(COLUMNS))]
    width = max(found.files[0].width for _, found in work.settings.parts)
    path = into.scratch() / "vectors.f16"
    with output_errors(path), path.open("xb") as file:
        for part, found in work.settings.parts:
            looking = Pass(part, {LANE: found}, COLUMNS, into.noted)
            for rows in looking.blocks():
                mask = rows.healthy([LANE])
                taken = rows.table.select(list(COLUMNS)).filter(pa.array(mask))
                tables.append(taken.cast(tables[0].schema))
                file.write(np.ascontiguousarray(rows.vectors(LANE, mask)).data)
            into.noted |= looking.contents()
    table = pa.concat_tables(tables)
    shape = (len(table), width)
    held: Any = np.memmap(path, np.float16, "r", shape=shape) if len(table) else np.empty(shape, np.float16)
    return table, held
