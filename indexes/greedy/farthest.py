"""Farthest-first order: every next row is the one that is least similar to all rows before it (Gonzalez 1985).

A row's highest similarity to the rows taken only rises. So a window of the rows where it is lowest can be ordered by
itself, from the products within it, for as long as the next one stands before every row outside as that was known
last; then what was taken is compared with all that is left, by the exact engine. Every decision is the one that
looking at all rows after each turn gives, and nearly all products are made in bulk.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from indexes.device.choice import works_on_card
from indexes.greedy.earlier import uid_ranks
from indexes.queries import Queries
from indexes.scanner import ScanOptions
from indexes.search import open_scanner

if TYPE_CHECKING:
    from indexes.lattice.points import Points

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
        bar = (np.inf, len(window))
        if size < len(ordered):
            bar = (float(nearest[ordered[size]]), int(np.searchsorted(window, ordered[size])))
        turns, levels = _turns(vectors, by_uid[window], nearest[window], bar, options.bfloat16)
        taken = window[turns]
        place[by_uid[taken]], level[by_uid[taken]] = done + np.arange(len(taken)), levels
        done += len(taken)
        left = np.setdiff1d(left, taken, assume_unique=True)
        # A window of which little is taken has made most of its products for nothing.
        size = min(most, max(_LEAST, 4 * len(taken)))
        _compare(vectors, by_uid, (left, taken), nearest, options)
    return Farthest(place, level)


def _window(width: int, options: ScanOptions) -> int:
    """Say how many rows a window has: their products, and the rows in two layouts, take a quarter of the memory."""
    most = int(np.sqrt(width * width + options.memory_limit / 16) - width)
    return max(1, min(_WINDOW, most))


def _turns(
    vectors: NDArray[np.float16],
    rows: NDArray[np.int64],
    nearest: NDArray[np.float64],
    bar: tuple[float, int],
    narrow: bool,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Take rows of a window, until one outside might come first.

    Args:
        vectors: `(n, d)` float16.
        rows: `(m,)` those of the window, in the order of their uids.
        nearest: `(m,)` highest similarity to what was taken before.
        bar: What the first row outside has at least, and before which of these rows it stands.
        narrow: Whether to screen in the processor's fastest numbers.

    Returns:
        `(t,)` places in the window, in the order in which they are taken, and their levels.
    """
    # Here, since numba takes half a second to load, and a plan's check needs none of it.
    from indexes.cpu.packing import padded_rows
    from indexes.greedy.farthest_turns import turns
    from indexes.greedy.square import square

    bits, which = padded_rows(vectors, rows)
    products, error = square(bits, which, vectors.shape[1], narrow)
    taken, levels = np.empty(len(rows), np.int64), np.empty(len(rows))
    source = (bits.ctypes.data, bits.shape[1])
    done = turns(products, error, source, which, nearest, bar, taken, levels)
    return taken[:done], levels[:done]


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
    opened = _scanned if works_on_card(options.device) else _searched
    highest = opened(vectors, by_uid[taken], options)
    for start in range(0, len(left), _BLOCK):
        rows = left[start : start + _BLOCK]
        nearest[rows] = np.maximum(nearest[rows], highest(by_uid[rows], nearest[rows]))


_Highest: TypeAlias = Callable[[NDArray[np.int64], NDArray[np.float64]], NDArray[np.float64]]
"""Says of some rows, `(m,)`, their highest similarity to the rows taken, where it is above what is known, `(m,)`."""


def _scanned(vectors: NDArray[np.float16], taken: NDArray[np.int64], options: ScanOptions) -> _Highest:
    packed = Queries(vectors[taken], ("taken",), np.array([0, len(taken)], np.int64), None)
    scanner = open_scanner(packed, "exact", replace(options, k=1))

    def highest(rows: NDArray[np.int64], known: NDArray[np.float64]) -> NDArray[np.float64]:
        return scanner.scan(np.asarray(vectors[rows])).similarity[:, 0]

    return highest


def _searched(vectors: NDArray[np.float16], taken: NDArray[np.int64], options: ScanOptions) -> _Highest:
    # Here, since numba takes half a second to load, and a plan's check needs none of it.
    from indexes.cpu.packing import padded_rows
    from indexes.lattice.choosing import lattice_of
    from indexes.lattice.nearest_columns import best_of, laid_columns
    from indexes.lattice.points import place

    seen = np.arange(0, len(vectors), -(-len(vectors) // _WINDOW))
    lattice = lattice_of(*padded_rows(vectors, seen), options.bfloat16)
    points = place(*padded_rows(vectors, taken), lattice)
    columns = laid_columns(points, lattice, np.arange(len(taken)))

    def highest(rows: NDArray[np.int64], known: NDArray[np.float64]) -> NDArray[np.float64]:
        bits, which = padded_rows(vectors, rows)

        def placed(some: slice) -> Points:
            return place(bits, which[some], lattice, "rows left")

        return best_of(columns, placed, len(taken), known, options.workers).score

    return highest
