"""How alike unrelated pairs are for the encoder at hand: each benchmark's queries against samples drawn from the pool.

Two waves: each part of the pool draws its samples (`draw`), once for all benchmarks of an encoder; then each benchmark
compares some of its queries with them, in float64, which is exact.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.chance_pairs import chance_pairs
from curation.kernels.uid_hash import hashes
from pipeline import layout
from pipeline.commit import Attempt
from pipeline.execution.context import RunContext, digests, paths
from pipeline.execution.costs import Cost, Rates, rows_of
from pipeline.execution.work import Json, Work
from pipeline.files.parquet import read_parquet
from pipeline.measuring import encoder_name
from pipeline.passes.located import committed_of, groups_of, inputs_of, parts_of, stored, stored_identity
from pipeline.passes.packed_queries import QueryFiles, packed, query_files, query_identity, query_paths
from pipeline.passes.part_pass import pairs
from pipeline.stages.learning.sample import bound
from pipeline.stages.levels import draw

# What vectors hold is known when they have been measured, so that no file is hashed for a few of its rows.
AFTER = ("measure",)
SEED = 0
SAMPLES = 4096
QUERIES = 1024
"""Drawn of the pool and of a benchmark, at most: four million pairs, which tell a rate of 1 in 100,000 apart."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What decides a unit's bytes: the queries, and what each part of the pool has drawn."""

    benchmark: str
    queries: tuple[str, ...]
    rows: tuple[str, ...]
    drawn: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """The files of both."""

    queries: QueryFiles
    rows: str
    drawn: tuple[str, ...]


def plan(run: RunContext) -> Iterator[list[Work[Any, Any]]]:
    """List a unit for each part of the pool and encoder, then one for each benchmark."""
    encoders = dict.fromkeys(encoder_name(run.plan, name) for name in run.plan.benchmarks)
    if not encoders:
        return
    yield [_draw(run, encoder, number) for encoder in encoders for number, _ in groups_of(run, "pool")]
    yield [_compare(run, name) for name in run.plan.benchmarks]


def _draw(run: RunContext, encoder: str, number: int) -> Work[draw.Identity, draw.Settings]:
    parts = {part.number: part for part in parts_of(run, "pool")}
    part, shards = parts[number], dict(groups_of(run, "pool"))[number]
    found = stored(run, "pool", number, shards, encoder, "image")
    # Rounded up, so that a pool that grows a little keeps the draw of its other parts; between one and two times as
    # many as are wanted are drawn.
    rows = 1 << max(1, sum(each.counted for each in parts.values()) - 1).bit_length()
    limit = bound(2 * SAMPLES, rows)
    vectors = stored_identity(run, found)
    identity = draw.Identity(encoder, limit, SEED, number, part.digest, part.skip, vectors)
    return Work(
        "draw",
        f"{encoder} {number:04d}",
        identity,
        draw.Settings(part, found),
        run.place,
        inputs_of(run, [found]),
        committed_of(run, part, [found]),
        ("pool", number),
        rows=part.counted,
    )


def _compare(run: RunContext, name: str) -> Work[Identity, Settings]:
    files, encoder = query_files(run, name, thresholds=False), encoder_name(run.plan, name)
    shares = run.part_records("draw", encoder)
    under, rows = layout.folder(layout.drawn(encoder, 0)), layout.images(name)
    index = run.record("index", name)
    identity = Identity(
        name, query_identity(files), tuple(digests([index], rows)), tuple(digests(shares, under))
    )
    drawn = tuple(run.path(path) for path in paths(shares, under))
    settings = Settings(files, run.path(rows), drawn)
    committed = run.outputs([*query_paths(files), rows, *drawn])
    looked_at = min(QUERIES, index.facts["queries"])
    return Work("unrelated", name, identity, settings, run.place, committed=committed, rows=looked_at)


def expect(run: RunContext, rates: Rates) -> Cost:
    """Seconds: some thousand vectors are read, and compared with some hundred."""
    encoders = {encoder_name(run.plan, name) for name in run.plan.benchmarks}
    units = len(encoders) * len(groups_of(run, "pool")) + len(run.plan.benchmarks)
    queries = sum(min(QUERIES, rows_of(run, name)) for name in run.plan.benchmarks)
    return Cost(units, seconds=0.0, rows=len(encoders) * rows_of(run, "pool") + queries)


def perform(work: Work[Identity, Settings], into: Attempt) -> Json:
    """Compare the drawn queries with the drawn samples, and describe what comes of it."""
    found = chance_pairs(_similarity(work))
    described = {
        **asdict(found),
        "quantiles": list(found.quantiles),
        "counts": found.counts.tolist(),
        "levels": [asdict(level) for level in found.levels],
    }
    relative = layout.unrelated(work.identity.benchmark)
    into.file(relative).write_text(json.dumps(described, sort_keys=True, allow_nan=False) + "\n")
    into.add(relative)
    return {"pairs": found.pairs, "left_out": found.left_out}


def _similarity(work: Work[Identity, Settings]) -> NDArray[np.float64]:
    """Compute `(queries, samples)` similarities in the order of the draw; NaN for a sample of the query's own bytes."""
    queries, (vectors, uids, sha256) = packed((work.settings.queries,)).vectors, _samples(work)
    table = read_parquet(Path(work.settings.rows), columns=["uid", "image_sha256"])
    names = pairs(table)
    chosen = lowest(names, QUERIES)
    own = np.array([text or "" for text in table.column("image_sha256").to_pylist()], dtype="S64")[chosen]
    found: NDArray[np.float64] = queries[chosen].astype(np.float64) @ vectors.astype(np.float64).T
    same = (own[:, None] == sha256[None, :]) & (own != b"")[:, None]
    same |= (names[chosen][:, None, :] == uids[None, :, :]).all(axis=2)
    found[same] = np.nan
    return found


def _samples(work: Work[Identity, Settings]) -> tuple[NDArray[Any], NDArray[np.uint64], NDArray[np.bytes_]]:
    """Put the shares together and take the lowest hashes: vectors, uids and sha256."""
    shares = []
    for path in work.settings.drawn:
        with np.load(Path(path), allow_pickle=False) as arrays:
            shares.append({name: arrays[name] for name in arrays.files})
    shares = [share for share in shares if len(share["uids"])]
    vectors, uids, sha256 = (
        np.concatenate([share[name] for share in shares]) for name in ("vectors", "uids", "sha256")
    )
    chosen = lowest(uids, SAMPLES)
    return vectors[chosen], uids[chosen], sha256[chosen]


def lowest(uids: NDArray[np.uint64], limit: int) -> NDArray[np.int64]:
    """Find the `limit` rows of `(n, 2)` uids with the lowest hashes, in their order; ties by uid."""
    order = np.lexsort((uids[:, 1], uids[:, 0], hashes(uids, SEED)))
    return order[:limit].astype(np.int64)
