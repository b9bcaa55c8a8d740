"""The samples with the lowest best rank over several keys, without ranking every sample.

A histogram of each key bounds every sample's rank from both sides, and so the rank R that the n-th sample has. Exact
ranks are then needed only in the few buckets whose ranks may be R.
"""

# SQL is put together from quoted identifiers, checked predicates and numbers; paths are bound.
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.cutoffs import SIMILARITY, Bucket, Cutoff, bucket_of, count, ranked
from curation.expressions import number
from curation.selection import ReachingRows


class BestRanks(NamedTuple):
    """Samples with a best rank below `rank` stay (they lie before a cutoff), and the `tied` ones that have it."""

    rank: int
    cutoffs: tuple[Cutoff, ...]
    tied: tuple[UUID, ...]


class _Span(NamedTuple):
    """The ranks that the rows of a bucket share."""

    first: int
    last: int
    bucket: Bucket


class _Region(NamedTuple):
    """For one key, the buckets that may hold the wanted rank: the rank they begin with, and their keys."""

    first: int
    low: float
    high: float


class _Near(NamedTuple):
    """Rows of some region: `(m, 2)` uids, and `(m, keys)` values and ranks.

    A rank is exact inside its key's region, 0 before it (better) and beyond every rank after it.
    """

    uids: NDArray[np.uint64]
    values: NDArray[np.float64]
    ranks: NDArray[np.int64]


BEYOND = np.iinfo(np.int64).max


def best_ranks(rows: ReachingRows, keys: Sequence[str], n: int) -> BestRanks:
    """Find the `n` samples with the lowest best rank; ties by the higher maximum, then the lower uid.

    Args:
        rows: Samples, every one of which has every key.
        keys: SQL of the keys; rank 1 has the highest key and, among equals, the lowest uid.
        n: Samples to keep; at least one, and fewer than there are.
    """
    spans = [_spans(rows, key) for key in keys]
    low, high = _bracket(rows, keys, spans, n)
    regions = [_region([span for span in of if span.first <= high and span.last >= low]) for of in spans]
    near = _near(rows, keys, regions)
    best = near.ranks.min(axis=1)
    before = " OR ".join(f"{key} > {number(region.high)}" for key, region in zip(keys, regions, strict=True))
    certain = int(rows.db.execute(rows.surviving("count(*)", where=f"({before})")).fetchall()[0][0])
    candidates = np.flatnonzero(best > 0)
    order = (near.uids[:, 1], near.uids[:, 0], -near.values.max(axis=1), best)
    chosen = candidates[np.lexsort([column[candidates] for column in order])[: n - certain]]
    rank = int(best[chosen[-1]])
    cutoffs = (
        Cutoff(key, True, float(near.values[row, place]), _uuid(near.uids[row]))
        for place, key in enumerate(keys)
        for row in np.flatnonzero(near.ranks[:, place] == rank)
    )
    return BestRanks(
        rank, tuple(cutoffs), tuple(_uuid(near.uids[row]) for row in chosen[best[chosen] == rank])
    )


def _spans(rows: ReachingRows, key: str) -> list[_Span]:
    counted = count(rows.db, rows.surviving(f"{key} AS k, uid"), SIMILARITY)
    return [
        _Span(before + 1, before + bucket.rows, bucket) for before, bucket in ranked(counted.buckets, True)
    ]


def _bracket(
    rows: ReachingRows, keys: Sequence[str], spans: Sequence[Sequence[_Span]], n: int
) -> tuple[int, int]:
    """Bound the best rank that the `n`-th sample has: each best rank lies between those of bucket ends."""
    joins = []
    for place, of in enumerate(spans):
        columns = {
            "places": [span.bucket.place for span in of],
            "firsts": [span.first for span in of],
            "lasts": [span.last for span in of],
        }
        rows.db.execute(
            f"CREATE OR REPLACE TEMP TABLE ranks_{place} AS SELECT unnest($places) AS bucket_{place}, "
            f"unnest($firsts) AS first_{place}, unnest($lasts) AS last_{place}",
            columns,
        )
        joins.append(f"JOIN ranks_{place} USING (bucket_{place})")
    numbered = range(len(keys))
    buckets = ", ".join(f"{bucket_of(key, SIMILARITY)} AS bucket_{i}" for i, key in enumerate(keys))
    first, last = (f"least({', '.join(f'{end}_{i}' for i in numbered)})" for end in ("first", "last"))
    query = f"SELECT {first} AS lo, {last} AS hi FROM ({rows.surviving(buckets)}) {' '.join(joins)}"
    found = rows.db.execute(f"SELECT lo, hi, count(*) FROM ({query}) GROUP BY lo, hi").fetchall()
    counts = np.array(found, dtype=np.int64)
    return _nth(counts[:, 0], counts[:, 2], n), _nth(counts[:, 1], counts[:, 2], n)


def _nth(values: NDArray[np.int64], counts: NDArray[np.int64], n: int) -> int:
    order = np.argsort(values)
    return int(values[order][np.searchsorted(np.cumsum(counts[order]), n)])


def _region(spans: Sequence[_Span]) -> _Region:
    # Ranks of a key run from 1 to the number of samples without a gap, so some bucket holds any of them.
    return _Region(spans[0].first, spans[-1].bucket.low, spans[0].bucket.high)


def _near(rows: ReachingRows, keys: Sequence[str], regions: Sequence[_Region]) -> _Near:
    names = [f"k{place}" for place in range(len(keys))]
    within = " OR ".join(
        f"{key} BETWEEN {number(region.low)} AND {number(region.high)}"
        for key, region in zip(keys, regions, strict=True)
    )
    columns = ", ".join(f"{key} AS {name}" for key, name in zip(keys, names, strict=True))
    query = rows.surviving(f"uid, {columns}", where=f"({within})")
    table: pa.Table = rows.db.sql(query).to_arrow_table()
    uids = _pairs(table.column("uid"))
    values = np.column_stack([table.column(name).to_numpy() for name in names])
    ranks = np.empty(values.shape, np.int64)
    for place, region in enumerate(regions):
        column = values[:, place]
        ranks[:, place] = np.where(column > region.high, 0, BEYOND)
        inside = np.flatnonzero((column >= region.low) & (column <= region.high))
        order = inside[np.lexsort((uids[inside, 1], uids[inside, 0], -column[inside]))]
        ranks[order, place] = region.first + np.arange(len(order))
    return _Near(uids, values, ranks)


def _pairs(uuids: pa.ChunkedArray) -> NDArray[np.uint64]:
    """Read `(n, 2)` uint64, the high half first, of Arrow uuids without nulls."""
    storage = uuids.combine_chunks().storage
    raw = np.frombuffer(storage.buffers()[1] or b"", np.uint8, len(storage) * 16, storage.offset * 16)
    return raw.view(">u8").reshape(-1, 2).astype(np.uint64)


def _uuid(pair: NDArray[np.uint64]) -> UUID:
    return UUID(int=(int(pair[0]) << 64) | int(pair[1]))
