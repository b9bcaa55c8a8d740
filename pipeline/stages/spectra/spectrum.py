"""Singular values and condition numbers of the pool, of splits, and of random samples of their sizes, as tables.

`audit.spectra` names the splits. Of each population the image vectors, the text vectors where measures look at them,
and the centred cross-covariance of both are described.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.kernels.exact_moments import Moments
from curation.kernels.uid_hash import hashes
from curation.measure import VECTORS
from pipeline import layout
from pipeline.commit import Attempt
from pipeline.execution.context import RunContext, digests
from pipeline.execution.costs import Cost, Rates, rows_of, width_of
from pipeline.execution.work import Json, Work
from pipeline.files.arrays import read_arrays
from pipeline.files.parquet import write_parquet
from pipeline.measuring import default_encoder
from pipeline.passes.located import (
    committed_of,
    groups_of,
    inputs_of,
    parts_of,
    stored,
    stored_identity,
    wanted_vectors,
)
from pipeline.passes.part_pass import lane
from pipeline.sets.parts import Part
from pipeline.stages.learning.sample import bound
from pipeline.stages.spectra import moments
from pipeline.stages.spectra._description import SUMMARY, VALUES, describe
from pipeline.stages.spectra.moments import DRAW_SEED, DRAWN, Population
from pipeline.stages.surviving import kept_files, sources_of

AFTER = ("split",)
BUNDLES = 16
"""Units that the parts are shared out to: each leaves matrices, which would take more room than vectors do."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What decides the tables' bytes: the populations, and the sums of all parts."""

    populations: tuple[str, ...]
    kinds: tuple[str, ...]
    sums: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """The files of the sums, and how many numbers each kind of vector has."""

    sums: tuple[str, ...]
    widths: tuple[int, ...]


def plan(run: RunContext) -> Iterator[list[Work[Any, Any]]]:
    """List units that add up, then one that describes."""
    named = run.plan.audit.spectra or ()
    if not named:
        return
    encoder = default_encoder(run.plan)
    kinds = tuple(kind for kind in VECTORS if kind in wanted_vectors(run)["pool"][encoder])
    parts = parts_of(run, "pool")
    step = -(-len(parts) // BUNDLES)
    populations = _populations(run, sum(part.counted for part in parts))
    yield [
        _adding(run, number, parts[start : start + step], encoder, kinds, populations)
        for number, start in enumerate(range(0, len(parts), step))
    ]
    found = run.records("moments")
    sums = run.outputs(output.path for record in found for output in record.outputs)
    identity = Identity(tuple(one.name for one in populations), kinds, tuple(digests(found)))
    settings = Settings(tuple(run.path(one.path) for one in sums), tuple(found[0].facts["widths"]))
    yield [Work("spectrum", "spectrum", identity, settings, run.place, committed=sums)]


def _populations(run: RunContext, rows: int) -> tuple[Population, ...]:
    found = [Population("pool", "", None, _drawn(rows))]
    for name in dict.fromkeys(run.plan.audit.spectra or ()):
        kept = _kept_of_pool(run, name)
        below = 2**64 * min(kept, rows) // max(rows, 1) - 1
        found.append(Population(name, name, None, _drawn(kept)))
        found.append(Population(f"random {name}", "", max(below, 0), _drawn(kept)))
    return tuple(found)


def _kept_of_pool(run: RunContext, split: str) -> int:
    facts = run.record("split", split).facts
    told = {each["name"]: each["kept"] for each in facts.get("sources") or ()}
    return int(told.get("pool", facts["kept"]))


def _drawn(rows: int) -> int:
    return bound(min(DRAWN, rows), rows) if rows else 0


def _adding(
    run: RunContext,
    number: int,
    parts: list[Part],
    encoder: str,
    kinds: tuple[str, ...],
    populations: tuple[Population, ...],
) -> Work[moments.Identity, moments.Settings]:
    shards = dict(groups_of(run, "pool"))
    held = tuple(
        (
            part,
            {
                lane(encoder, kind): stored(run, "pool", part.number, shards[part.number], encoder, kind)
                for kind in kinds
            },
        )
        for part in parts
    )
    files = {one.split: kept_files(run, one.split) for one in populations if one.split}
    identity = moments.Identity(
        populations,
        {name: [one.sha256 for one in run.outputs(of)] for name, of in files.items()},
        {name: list(sources_of(run, name)) for name in files},
        tuple(part.digest for part in parts),
        tuple(part.skip for part in parts),
        tuple({key: stored_identity(run, one) for key, one in found.items()} for _, found in held),
    )
    every = [one for _, found in held for one in found.values()]
    committed = dict.fromkeys(one for part, found in held for one in committed_of(run, part, found.values()))
    return Work(
        "moments",
        f"{number:04d}",
        identity,
        moments.Settings(number, held),
        run.place,
        inputs_of(run, every),
        (*committed, *run.outputs(path for of in files.values() for path in of)),
        rows=sum(part.counted for part in parts),
    )


def expect(run: RunContext, rates: Rates) -> Cost:
    """Every vector is read once more, and multiplied with itself for each population."""
    named = len(run.plan.audit.spectra or ())
    if not named:
        return Cost(0)
    rows, width = rows_of(run, "pool"), width_of(run)
    products = rows * width * width * (1 + 2 * named)
    units = min(len(groups_of(run, "pool")), BUNDLES) + 1
    return Cost(units, rows * width * 2, seconds=products / rates.products)


def perform(work: Work[Identity, Settings], into: Attempt) -> Json:
    """Put the sums together, and describe each population."""
    identity, settings = work.identity, work.settings
    held = [read_arrays(path) for path in settings.sums]
    values: list[dict[str, Any]] = []
    summary: list[dict[str, Any]] = []
    for number, name in enumerate(identity.populations):
        own = [_of(arrays, number) for arrays in held]
        sums = Moments(sum(settings.widths))
        for each in own:
            sums.merge(each)
        if sums.count:
            described = describe(sums, _lowest(own), identity.kinds, settings.widths)
            summary += [{"population": name, "of": of} | row for of, (_, row) in described.items()]
            values += [
                {"population": name, "of": of, "rank": rank, "singular_value": float(value)}
                for of, (found, _) in described.items()
                for rank, value in enumerate(found.values, 1)
            ]
    for what, rows, schema in (("values", values, VALUES), ("summary", summary, SUMMARY)):
        table = pa.Table.from_pylist(rows, schema)
        into.add(layout.spectra(what), rows=write_parquet(into.file(layout.spectra(what)), table, schema))
    return {"populations": len(identity.populations)}


def _of(arrays: Mapping[str, NDArray[Any]], number: int) -> dict[str, NDArray[Any]]:
    prefix = f"{number} "
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _lowest(own: list[dict[str, NDArray[Any]]]) -> NDArray[np.float16]:
    """Take the rows with the lowest hashes among those that the units kept."""
    uids = np.concatenate([each["uids"] for each in own])
    rows = np.concatenate([each["rows"] for each in own])
    order = np.lexsort((uids[:, 1], uids[:, 0], hashes(uids, DRAW_SEED)))[:DRAWN]
    return np.asarray(rows[order])
