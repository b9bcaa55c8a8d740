"""The k nearest samples of each query for the CPU engine: exact products of offers, sorted insertion.

A list's order is total (similarity, then uid, then stream position), and an offer is dropped only if k samples are
certain to come before it. So the lists do not depend on the order in which blocks and threads bring their offers.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from indexes.cpu.blocks import Exact
from indexes.cpu.kernel import compiled, inlined
from indexes.cpu.packing import Held
from indexes.cpu.primitives import prefetch
from indexes.cpu.screen import similarity
from indexes.scores import Neighbours

ENTRY = np.dtype(
    [("similarity", np.float64), ("high", np.uint64), ("low", np.uint64), ("position", np.int64)]
)
"""An entry of a query's list, which is sorted by similarity descending, uid ascending, position ascending; where
there is room, the similarity is -inf and the position -1."""

ENTRY_BYTES: Final = ENTRY.itemsize
_AHEAD: Final = 6
_MOST_LINES: Final = 16


def no_neighbours(queries: int, k: int) -> NDArray[Any]:
    """Empty lists: `(queries, k)` of `ENTRY`."""
    nearest = np.zeros((queries, k), ENTRY)
    nearest["similarity"] = -np.inf
    nearest["position"] = -1
    return nearest


def as_neighbours(nearest: NDArray[Any]) -> Neighbours:
    """Copy the lists out: `(queries, k)` of `ENTRY`."""
    uids = np.stack([nearest["high"], nearest["low"]], axis=-1)
    return Neighbours(nearest["similarity"].copy(), uids, nearest["position"].copy())


@compiled
def evaluate(
    held: Held, exact: Exact, offers: NDArray[Any], count: int, error: float
) -> int:  # pragma: no cover - machine code
    """Compute the offers that still can enter exactly, and move them to the front.

    Floors have risen since most of them were noted, so a second look spares many exact products. An offer moves to its
    own place or before it, never over one that is still to be read.

    Args:
        held: The queries.
        exact: Where the float16 rows are.
        offers: `(capacity,)` of `OFFER`; the first `count` count.
        count: Offers that wait.
        error: The screen's bound.

    Returns:
        How many are left.
    """
    columns, floors, slack = held.column, held.floor, np.float32(error)
    kept = 0
    for index in range(count):
        offer = offers[index]
        if offer.score >= floors[offer.column] - slack:
            kept += 1
            offers[kept - 1].row, offers[kept - 1].column = offer.row, offer.column
    for index in range(kept):
        ahead = exact.queries + columns[offers[min(index + _AHEAD, kept - 1)].column] * exact.stride
        for line in range(exact.stride // 64):
            prefetch(np.int64(ahead + 64 * line))
        offer = offers[index]
        offer.exact = similarity(exact, offer.row, columns[offer.column])
    return kept


@inlined
def _before(
    value: float, high: int, low: int, position: int, entries: NDArray[Any], place: int
) -> bool:  # pragma: no cover - machine code
    """Whether a new entry comes before what the list holds at `place`."""
    other = entries[place]
    if value != other.similarity:
        return bool(value > other.similarity)
    if other.position < 0:
        return True
    if high != other.high:
        return bool(high < other.high)
    if low != other.low:
        return bool(low < other.low)
    return bool(position < other.position)


@compiled
def insert(
    held: Held, nearest: NDArray[Any], offers: NDArray[Any], uids: NDArray[np.uint64], stream: tuple[int, int]
) -> None:  # pragma: no cover - machine code
    """Insert evaluated offers.

    Callers whose queries overlap take turns by a lock; who reads a floor meanwhile sees the old or the new one.

    Args:
        held: The queries; their floors rise.
        nearest: `(q, k)` of `ENTRY`, the lists.
        offers: `(capacity,)` of `OFFER` from `evaluate`.
        uids: `(n, 2)` uint64, of the block.
        stream: How many offers, and the stream position of the block's first row.
    """
    columns, floors, last = held.column, held.floor, nearest.shape[1] - 1
    lines, start = nearest.shape[1] * ENTRY_BYTES // 64 + 1, nearest.ctypes.data
    for index in range(stream[0]):
        ahead = columns[offers[min(index + _AHEAD, stream[0] - 1)].column]
        for line in range(min(lines, _MOST_LINES)):
            prefetch(np.int64(start + ahead * nearest.shape[1] * ENTRY_BYTES + 64 * line))
        offer = offers[index]
        entries = nearest[columns[offer.column]]
        value, high, low = offer.exact, uids[offer.row, 0], uids[offer.row, 1]
        position = stream[1] + offer.row
        if value < entries[last].similarity or not _before(value, high, low, position, entries, last):
            continue
        place = last
        while place > 0 and _before(value, high, low, position, entries, place - 1):
            entries[place] = entries[place - 1]
            place -= 1
        entry = entries[place]
        entry.similarity, entry.high, entry.low, entry.position = value, high, low, position
        # Offers may have proved more than a list that is not full yet. Rounding the floor up to a float32 is among the
        # roundings that the bound counts.
        floors[offer.column] = max(floors[offer.column], np.float32(entries[last].similarity))
