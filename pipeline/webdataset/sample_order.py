"""The order of an export: by a hash of uid, copy and seed, so that neither shards nor clusters of the pool show in it.

Hashes are cut into as many equal ranges, buckets, as there are tars. Bucket counts say at which place each bucket
begins, so that every tar but the last gets exactly as many samples as asked, and no one holds all hashes at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curation.kernels.uid_hash import hashes

_HALF = np.uint64(32)


@dataclass(frozen=True, slots=True)
class Slice:
    """What of the order one tar takes: buckets `first` to `last`, of whose samples `skip` go before it.

    Attributes:
        first: The first bucket.
        last: The last one.
        skip: Samples of these buckets that earlier tars have.
        take: Samples of the tar.
    """

    first: int
    last: int
    skip: int
    take: int


def orders(uids: NDArray[np.uint64], copies: NDArray[np.int64], seed: int) -> NDArray[np.uint64]:
    """Place samples, each copy of one on its own.

    Args:
        uids: `(n, 2)` high and low halves.
        copies: `(n,)`: 0 for a sample's first copy, 1 for the next, …; few.
        seed: Below 2**32.

    Returns:
        `(n,)` uint64; lower comes first.
    """
    placed = np.empty(len(uids), np.uint64)
    for copy in range(int(copies.max(initial=-1)) + 1):
        mine = copies == copy
        placed[mine] = hashes(uids[mine], seed + (copy << 32))
    return placed


def buckets(placed: NDArray[np.uint64], count: int) -> NDArray[np.int64]:
    """Find the bucket, of `count` below 2**32, of each place; it never falls as the place rises."""
    return (((placed >> _HALF) * np.uint64(count)) >> _HALF).astype(np.int64)


def slices(counts: NDArray[np.int64], samples_per_shard: int) -> list[Slice]:
    """Cut the order into tars.

    Args:
        counts: Samples in each bucket.
        samples_per_shard: Samples of a tar; the last may have fewer.
    """
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    found = []
    for start in range(0, total, samples_per_shard):
        end = min(start + samples_per_shard, total)
        first = int(np.searchsorted(ends, start, side="right"))
        last = int(np.searchsorted(ends, end, side="left"))
        before = int(ends[first] - counts[first])
        found.append(Slice(first, last, start - before, end - start))
    return found
