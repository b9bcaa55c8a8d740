"""Farthest-first order: every next row is the one that is least similar to all rows before it (Gonzalez 1985).

A row's highest similarity to the rows taken only rises. So a window of the rows where it is lowest can be ordered by
itself, from the products within it, for as long as the next one stands before every row outside as that was known
last; then what was taken is compared with all that is left, by the exact engine. Every decision is the one that
looking at all rows after each turn gives, and nearly all products are made in bulk.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from indexes.greedy.earlier import uid_ranks
from indexes.queries import Queries
from indexes.scanner import ScanOptions
from indexes.search import open_scanner

_BLOCK = 1 << 14
"""Rows that are compared with what was taken, at a time."""
_WINDOW, _LEAST = 4096, 256
"""Rows of a window: at most, since its turns would be slower than their products, and where little is taken of it."""


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


def farthest_first(vectors: NDArray[np.float16], uids: NDArray[np.uint64], options: ScanOptions) -> Farthest:
    """Order rows farthest first, beginning with the lowest uid; ties go to the lower uid.

    Args:
        vectors: `(n, d)` float16, canonical, in any order; it may be a memory-mapped file.
        uids: `(n, 2)` uint64 of these rows.
        options: Device, threads and memory; they change no result.
    """
    by_uid = np.argsort(uid_ranks(uids))
    nearest = np.full(len(vectors), -np.inf)
    place, level = np.empty(len(vectors), np.int64), np.empty(len(vectors))
    # Positions are places in the order of the uids, so that the lower of two is the lower uid.
    left, most = np.arange(len(vectors)), _window(vectors.shape[1], options)
    # The first of many rows is taken alone: nothing is known of the others.
    done, size = 0, most if len(left) <= most else 1
    while len(left):
        ordered = left[np.argsort(nearest[left], kind="stable")]
        window = np.sort(ordered[:size])
        bar = (nearest[ordered[size]], ordered[size]) if size < len(ordered) else (np.inf, len(vectors))
        turns, levels = _turns(vectors[by_uid[window]], nearest[window], window, bar)
        taken = window[turns]
        place[by_uid[taken]], level[by_uid[taken]] = done + np.arange(len(taken)), levels
        done += len(taken)
        left = np.setdiff1d(left, taken, assume_unique=True)
        # A window of which little is taken has made most of its products for nothing.
        size = min(most, max(_LEAST, 4 * len(taken)))
        _compare(vectors, by_uid, (left, taken), nearest, options)
    return Farthest(place, level)


def _window(width: int, options: ScanOptions) -> int:
    """Say how many rows a window has: their products take a quarter of the memory."""
    most = int((np.sqrt(width * width + options.memory_limit / 8) - width) / 2)
    return max(1, min(_WINDOW, most))


def _turns(
    vectors: NDArray[np.float16],
    nearest: NDArray[np.float64],
    rows: NDArray[np.int64],
    bar: tuple[float, int],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Take rows of a window, until one outside might come first.

    Args:
        vectors: `(m, d)` float16, in the order of their uids.
        nearest: `(m,)` highest similarity to what was taken before.
        rows: `(m,)` ascending positions.
        bar: The first row outside: what its highest similarity is at least, and its position.

    Returns:
        `(t,)` places in the window, in the order in which they are taken, and their levels.
    """
    wide, nearest = vectors.astype(np.float64), nearest.copy()
    products = wide @ wide.T + 0.0
    turns: list[int] = []
    levels: list[float] = []
    for _ in range(len(rows)):
        # Taken rows stand at infinity; of equal ones the first is taken, which has the lower uid.
        chosen = int(nearest.argmin())
        if (nearest[chosen], rows[chosen]) > bar:
            break
        turns.append(chosen)
        levels.append(float(nearest[chosen]))
        np.maximum(nearest, products[chosen], out=nearest)
        nearest[chosen] = np.inf
    return np.array(turns, np.int64), np.array(levels)


def _compare(
    vectors: NDArray[np.float16],
    by_uid: NDArray[np.int64],
    sides: tuple[NDArray[np.int64], NDArray[np.int64]],
    nearest: NDArray[np.float64],
    options: ScanOptions,
) -> None:
    """Raise what is known of the rows that are left by their products with those just taken, block by block."""
    left, taken = sides
    if not len(left):
        return
    packed = Queries(vectors[by_uid[taken]], ("taken",), np.array([0, len(taken)], np.int64), None)
    scanner = open_scanner(packed, "exact", replace(options, k=1))
    for start in range(0, len(left), _BLOCK):
        rows = left[start : start + _BLOCK]
        found = scanner.scan(np.asarray(vectors[by_uid[rows]]))
        nearest[rows] = np.maximum(nearest[rows], found.similarity[:, 0])
