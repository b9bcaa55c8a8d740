"""Exact cutoffs: which key and uid is the n-th, found by counting and then sorting one bucket.

No table of survivors is made: a first scan counts keys in buckets, a second sorts the one bucket that holds the n-th.
"""

# SQL is put together from quoted identifiers, checked predicates and numbers; paths are bound.
# ruff: noqa: S608

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.expressions import either, number
from curation.selection import ReachingRows, missing

SIMILARITY = (-1.0, 1.0)

BUCKETS = 1 << 16
SORTED = 1 << 21
"""A bucket of more rows than this is counted again in finer buckets, unless all its keys are equal."""

SIGMAS = 8
"""Standard deviations that the n-th hash may lie beyond its expected place before all of them are looked at."""


class Bucket(NamedTuple):
    """Keys that fell together: how many, and from where to where. Buckets are in the order of their keys."""

    place: int
    rows: int
    low: Any
    high: Any


@dataclass(frozen=True, slots=True)
class CountedKeys:
    """How many rows there are, and the buckets of those that have a key."""

    rows: int
    buckets: tuple[Bucket, ...]

    @property
    def keyed(self) -> int:
        """Rows whose key is not NULL."""
        return sum(bucket.rows for bucket in self.buckets)


@dataclass(frozen=True, slots=True)
class Cutoff:
    """The last row that stays: its key and uid. Rows are in the order of key, then uid ascending.

    `alone` says that no row after it has its key, so that the key alone decides.
    """

    key: str
    highest: bool
    value: Any
    uid: UUID
    alone: bool = False

    def keeps(self, inclusive: bool = True) -> str:
        """Return the SQL that is true for the rows up to this one, NULL where the key is NULL."""
        before = ">" if self.highest else "<"
        up_to = "<=" if inclusive else "<"
        value = number(self.value)
        if self.alone:  # one look at the key, which may be dear
            return f"{self.key} {before}{'=' if inclusive else ''} {value}"
        tie = f"({self.key} = {value} AND uid {up_to} '{self.uid}'::UUID)"
        return f"({self.key} {before} {value} OR {tie})"

    def facts(self) -> dict[str, Any]:
        """Describe the cutoff: the value, its exact bits where it is a float, and the uid."""
        exact = {"exact": self.value.hex()} if isinstance(self.value, float) else {}
        return {"key": self.key, "value": self.value, **exact, "uid": self.uid.hex}


def bucket_of(key: str, bounds: tuple[float, float]) -> str:
    """Return the SQL of a key's bucket: monotone, so that rounding moves no key past another."""
    low, high = bounds
    scale = (BUCKETS - 1) / (high - low)
    place = f"(({key})::DOUBLE - {number(low)}) * {number(scale)}"
    # `least` and `greatest` pass over NULL; a row without a key belongs to no bucket.
    return f"CASE WHEN ({key}) IS NOT NULL THEN least(greatest({place}, 0), {BUCKETS - 1})::INTEGER END"


def count(db: Any, rows: str, bounds: tuple[float, float]) -> CountedKeys:
    """Count the column `k` of a query in buckets.

    Args:
        db: The connection.
        rows: A query with the columns `k` and `uid`.
        bounds: Where keys are expected; keys beyond fall into the first and last bucket.
    """
    found = db.execute(
        f"SELECT {bucket_of('k', bounds)} AS bucket, count(*), min(k), max(k) FROM ({rows}) GROUP BY bucket "
        "ORDER BY bucket"
    ).fetchall()
    keyed = tuple(Bucket(*row) for row in found if row[0] is not None)
    return CountedKeys(sum(row[1] for row in found), keyed)


def cut_at(db: Any, rows: str, counted: CountedKeys, n: int, highest: bool) -> tuple[Any, UUID, bool]:
    """Return key and uid of the `n`-th row, counting from the highest (or lowest) key, ties by lower uid.

    The third value says whether no row after it has its key, so that the key alone decides.

    Args:
        db: The connection.
        rows: The query that was counted, with the columns `k` and `uid`.
        counted: What `count` found.
        n: 1 to `counted.keyed`.
        highest: Which end comes first.
    """
    place, bucket = _holding(counted.buckets, n, highest)
    inside = f"SELECT k, uid FROM ({rows}) WHERE k BETWEEN {number(bucket.low)} AND {number(bucket.high)}"
    if bucket.rows > SORTED and bucket.low < bucket.high:
        finer = count(db, inside, (float(bucket.low), float(bucket.high)))
        if len(finer.buckets) > 1:
            return cut_at(db, inside, finer, place, highest)
    order = "DESC" if highest else "ASC"
    found = db.execute(f"{inside} ORDER BY k {order}, uid LIMIT 2 OFFSET {place - 1}").fetchall()
    value, uid = found[0]
    return value, uid, len(found) == 1 or found[1][0] != value


def _holding(buckets: Sequence[Bucket], n: int, highest: bool) -> tuple[int, Bucket]:
    """Return the bucket of the `n`-th row and the row's place in it, from 1."""
    for before, bucket in ranked(buckets, highest):
        if n <= before + bucket.rows:
            return n - before, bucket
    raise ValueError(f"there is no row {n} among {sum(bucket.rows for bucket in buckets)}")


def ranked(buckets: Sequence[Bucket], highest: bool) -> Iterator[tuple[int, Bucket]]:
    """Yield the buckets, the first one to stay first, each with the number of rows before it."""
    before = 0
    for bucket in reversed(buckets) if highest else buckets:
        yield before, bucket
        before += bucket.rows


def likely_bound(held: int, n: int, bounds: tuple[float, float]) -> int:
    """Return a key that the `n`-th lowest of `held` evenly spread keys lies below, in all but one of 10^15 draws."""
    share = n / held
    reach = SIGMAS * math.sqrt(share * (1 - share) / held) + SIGMAS / held
    low, high = bounds
    return int(min(low + (share + reach) * (high - low), high - 1))


def any_null(keys: Sequence[str]) -> str:
    """Return the SQL that is true where a key is NULL."""
    return either([f"{key} IS NULL" for key in keys])


def held(rows: ReachingRows) -> int:
    """Count the rows that reach a rule."""
    return int(rows.db.execute(rows.surviving("count(*)")).fetchall()[0][0])


def shortage(wanted: int, kept: int, cutoffs: Sequence[Cutoff]) -> dict[str, Any]:
    """Describe what a selection came to: how many were wanted, its cutoffs, and how many it fell short."""
    facts: dict[str, Any] = {"wanted": wanted, "cutoffs": [cutoff.facts() for cutoff in cutoffs]}
    if kept < wanted:
        facts["short"] = wanted - kept  # fewer samples reached the rule than it was to keep
    return facts


def before(
    values: Any, uids: NDArray[np.uint64], cutoff: Mapping[str, Any], highest: bool
) -> NDArray[np.bool_]:
    """Say which rows come up to a cutoff on record, the cutoff included.

    Args:
        values: `(n,)` Arrow numbers; NULL and NaN never come up to it.
        uids: `(n, 2)`.
        cutoff: What `Cutoff.facts` gave, as JSON has it.
        highest: Which end stays.
    """
    last = float.fromhex(cutoff["exact"]) if "exact" in cutoff else cutoff["value"]
    uid = int(cutoff["uid"], 16)
    high, low = np.uint64(uid >> 64), np.uint64(uid & (2**64 - 1))
    known = ~missing(values)
    found = values.filter(pa.array(known)).to_numpy(zero_copy_only=False)
    if np.issubdtype(found.dtype, np.floating):
        found = found.astype(np.float64)  # a float32 would round the cutoff, not the other way about
    kept = found > last if highest else found < last
    own = uids[known]
    earlier = (own[:, 0] < high) | ((own[:, 0] == high) & (own[:, 1] <= low))
    stays = np.zeros(len(uids), bool)
    stays[known] = kept | ((found == last) & earlier)
    return stays
