"""Farthest-first order: every next row is the one that is least similar to all rows before it (Gonzalez 1985)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexes.brute import similarities
from indexes.greedy.earlier import uid_ranks

_BLOCK = 4096


@dataclass(frozen=True, slots=True)
class Farthest:
    """A farthest-first order of some rows.

    The levels rise along the order. So at any level t the rows of level <= t are a beginning of it: no two of them are
    more similar than t, and every other row is more similar than t to one of them.

    Attributes:
        place: `(n,)` int64, each row's place in the order, from 0.
        level: `(n,)` float64, its highest similarity to a row before it; -inf for the first.
    """

    place: NDArray[np.int64]
    level: NDArray[np.float64]


def farthest_first(vectors: NDArray[np.float16], uids: NDArray[np.uint64], memory: int) -> Farthest:
    """Order rows farthest first, beginning with the lowest uid; ties go to the lower uid.

    It takes the products of all pairs, exactly, in float64.

    Args:
        vectors: `(n, d)` float16, canonical, in any order; it may be a memory-mapped file.
        uids: `(n, 2)` uint64 of these rows.
        memory: Bytes that it may hold; what is kept of the products, and no result, depends on it.
    """
    count = len(vectors)
    by_uid = np.argsort(uid_ranks(uids))
    products = _products(vectors, by_uid, memory)
    nearest = np.full(count, -np.inf)
    place, level = np.empty(count, np.int64), np.empty(count)
    for turn in range(count):
        # Chosen rows stand at infinity; of equal ones the first is taken, which has the lower uid.
        chosen = int(nearest.argmin())
        place[by_uid[chosen]], level[by_uid[chosen]] = turn, nearest[chosen]
        np.maximum(nearest, products(chosen), out=nearest)
        nearest[chosen] = np.inf
    return Farthest(place, level)


def _products(
    vectors: NDArray[np.float16], rows: NDArray[np.int64], memory: int
) -> Callable[[int], NDArray[np.float64]]:
    """Give the products of one row with all rows: looked up where all of them fit, else computed."""
    count, width = vectors.shape
    if 8 * count * (count + width) <= memory:
        wide = vectors[rows].astype(np.float64)
        square: NDArray[np.float64] = wide @ wide.T
        square += 0.0
        return lambda row: square[row]
    if 8 * count * width <= memory:
        held = vectors[rows].astype(np.float64)
        return lambda row: held @ held[row] + 0.0

    def computed(row: int) -> NDArray[np.float64]:
        one = vectors[rows[row]].astype(np.float64)[None, :]
        starts = range(0, count, _BLOCK)
        return np.concatenate([similarities(vectors[rows[at : at + _BLOCK]], one)[:, 0] for at in starts])

    return computed
