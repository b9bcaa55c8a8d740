"""How measures of whole groups are planned, and how a part takes back what they found."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from curation import measures
from curation.grouped import Grouped
from curation.measure import schema_of
from curation.measures.clusters import Clusters
from pipeline import layout
from pipeline.commit import Attempt, fingerprint
from pipeline.execution.context import RunContext, digests, paths
from pipeline.execution.costs import Cost, Rates, rows_of, width_of
from pipeline.execution.work import Json, Work
from pipeline.files.arrow_file import read_piece
from pipeline.files.parquet import write_parquet
from pipeline.measuring import Instance
from pipeline.passes.located import (
    committed_of,
    groups_of,
    inputs_of,
    named_arrays,
    parts_of,
    stored,
    stored_identity,
)
from pipeline.passes.looked_at import digests_of_other, located_other, others_of, own_columns
from pipeline.passes.measure_unit import Identity, Results, Settings, of_instance
from pipeline.passes.part_pass import Pass, lane
from pipeline.readers import Shard
from pipeline.sets.parts import Part
from pipeline.stages.groups import group, scatter

BUCKET_ROWS = 1 << 18
"""Rows that a bucket has on average."""

Pool = Sequence[tuple[Part, list[Shard]]]


def before(run: RunContext, grouped: Sequence[Instance], pool: Pool) -> Iterator[list[Work[Any, Any]]]:
    """Plan what comes before the parts take anything back: two waves, scattering and measuring."""
    if not grouped:
        return
    alike = {_key(run, one): one for one in grouped}
    yield [_scattered(run, key, one, part, shards) for key, one in alike.items() for part, shards in pool]
    yield [_bucket(run, one, number) for one in grouped for number in range(_buckets(run, one))]


def _measure(one: Instance) -> Grouped:
    if not isinstance(one.measure, Grouped):
        raise TypeError(f"{one.name} is no measure of whole groups")
    return one.measure


def _key(run: RunContext, one: Instance) -> str:
    """Name what is scattered: measures that group alike and look at the same share it."""
    looked_at = sorted(set(one.measure.requires()))
    return fingerprint(one.encoder, _measure(one).grouped_by(), looked_at, sorted(named_arrays(run)))[:16]


def _buckets(run: RunContext, one: Instance) -> int:
    """Say how many buckets there are; one group that is the pool has one."""
    rows = sum(part.counted for part in parts_of(run, "pool"))
    return 1 if _measure(one).grouped_by() is None else max(1, math.ceil(rows / BUCKET_ROWS))


def _scattered(
    run: RunContext, key: str, one: Instance, part: Part, shards: list[Shard]
) -> Work[scatter.Identity, scatter.Settings]:
    kinds = one.vectors(named_arrays(run))
    lanes = {
        lane(one.encoder, kind): stored(run, "pool", part.number, shards, one.encoder, kind) for kind in kinds
    }
    vectors = {name: stored_identity(run, found) for name, found in lanes.items()}
    needs = others_of(run, one)
    others = {need: digests_of_other(run, need, part) for need in needs}
    own, by, buckets = own_columns(run, one), _measure(one).grouped_by(), _buckets(run, one)
    identity = scatter.Identity(key, by, buckets, part.number, part.digest, part.skip, vectors, others, own)
    settings = scatter.Settings(part, lanes, tuple(located_other(run, need, part) for need in needs))
    return Work(
        "scatter",
        f"{key} {part.number:04d}",
        identity,
        settings,
        run.place,
        inputs_of(run, lanes.values()),
        committed_of(run, part, lanes.values()) + run.outputs(p for o in settings.others for p in o.paths),
        ("pool", part.number),
        rows=part.counted,
    )


def _bucket(run: RunContext, one: Instance, number: int) -> Work[group.Identity, group.Settings]:
    key, buckets = _key(run, one), _buckets(run, one)
    records = run.part_records("scatter", key)
    rows = paths(records, layout.folder(layout.scattered_rows(key, 0)))
    vectors = {
        kind: tuple(
            run.path(path)
            for path in paths(
                records, layout.folder(layout.scattered_vectors(key, lane(one.encoder, kind), 0))
            )
        )
        for kind in one.vectors(named_arrays(run))
    }
    options = measures.dump(one.measure)
    identity = group.Identity(
        one.kind, one.name, options, one.measure.version, number, buckets, tuple(digests(records))
    )
    settings = group.Settings(tuple(run.path(path) for path in rows), vectors)
    held = sum(part.counted for part in parts_of(run, "pool")) // buckets
    committed = run.outputs([*rows, *(path for of in vectors.values() for path in of)])
    unit = f"{one.name} {number:04d}"
    return Work("group", unit, identity, settings, run.place, committed=committed, rows=held)


def gathered(run: RunContext, one: Instance, part: Part) -> tuple[Identity, Settings]:
    """Say what a part takes back: its piece of every bucket."""
    records = [run.record("group", f"{one.name} {number:04d}") for number in range(_buckets(run, one))]
    found = tuple(run.path(output.path) for record in records for output in record.outputs)
    piece = [each.number for each in parts_of(run, "pool")].index(part.number)
    identity = of_instance(one, part, {}, {"groups": digests(records)})
    return identity, Settings(part, {}, one.encoder, results=Results(piece, found))


def gather(work: Work[Identity, Settings], into: Attempt) -> Json:
    """Write a part's columns: the rows of the part, in their order, NULL for those that are in no group."""
    identity, settings = work.identity, work.settings
    if settings.results is None:
        raise TypeError(f"{identity.name} has no results to gather")
    schema = schema_of(identity.measure())
    uids = [rows.table.select(["uid"]) for rows in Pass(settings.part, {}).blocks()]
    rows = pa.concat_tables([schema.empty_table().select(["uid"]), *uids])
    found = pa.concat_tables([read_piece(path, settings.results.piece) for path in settings.results.paths])
    where = np.full(len(rows), -1, np.int64)
    where[found.column(group.ROW).to_numpy()] = np.arange(len(found))
    places = pa.array(where, mask=where < 0)
    columns = {name: found.column(name).take(places) for name in schema.names[1:]}
    relative = layout.measure(identity.kind, identity.name, settings.part.number)
    table = pa.table({"uid": rows.column("uid")} | columns)
    into.add(relative, rows=write_parquet(into.file(relative), table, schema))
    return {"rows": len(rows), "compared": len(found)}


def expect(run: RunContext, rates: Rates) -> Cost:
    """Vectors are read, written in the order of groups, and read again; half of a group's pairs are compared."""
    grouped = [one for one in run.instances().values() if isinstance(one.measure, Grouped)]
    if not grouped:
        return Cost(0)
    rows, width, parts = rows_of(run, "pool"), width_of(run), len(groups_of(run, "pool"))
    alike = {_key(run, one): one for one in grouped}
    held = sum(rows * width * 2 * len(one.vectors(named_arrays(run))) for one in alike.values())
    units = parts * len(alike)
    seconds = 2 * held / rates.read_bytes
    for one in grouped:
        by = _measure(one).grouped_by()
        units += 1 if by is None else max(1, math.ceil(rows / BUCKET_ROWS))
        seconds += rows * (rows / _groups(run, by)) / 2 * width / rates.products
    return Cost(units, 2 * held, held, seconds, rows * (len(alike) + len(grouped)))


def _groups(run: RunContext, by: str | None) -> int:
    """Say how many groups a column makes, where that is known before a run: k of clusters."""
    name, _, column = (by or "").partition(".")
    one = run.instances().get(name)
    if column == "cluster" and one is not None and isinstance(one.measure, Clusters):
        return one.measure.k
    return 1
