"""Turns of a farthest-first order, from screened products: what decides a turn is computed exactly, and little else.

Of each row it is known what its highest similarity to the rows taken is at least, and at most. A turn looks at the row
whose least is lowest: its highest similarity is then known exactly. Then it looks at every other row whose least is no
higher than that; the lowest of these is the lowest of all, and of equal ones the first is taken.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from indexes.cpu.kernel import compiled, inlined
from indexes.cpu.primitives import CHUNK, exact_product

_BLOCK: Final = 32
"""Rows whose lowest is kept beside them."""


@compiled
def turns(
    products: NDArray[np.float32],
    error: float,
    source: tuple[int, int],
    which: NDArray[np.int64],
    nearest: NDArray[np.float64],
    bar: tuple[float, int],
    taken: NDArray[np.int64],
    levels: NDArray[np.float64],
) -> int:  # pragma: no cover - machine code
    """Take rows farthest first, until one outside might come first.

    Args:
        products: `(m, m)` screened products.
        error: The most that one is off.
        source: Address of the float16 vectors, and their padded width.
        which: `(m,)` the rows among these vectors, ascending in the order that breaks ties.
        nearest: `(m,)` exact highest similarity to what was taken before, -inf for none.
        bar: What the first row outside has at least, and the place among these rows before which it stands.
        taken: `(m,)` room for the places that are taken, in order.
        levels: `(m,)` room for their highest similarities.

    Returns:
        How many were taken.
    """
    count, done = products.shape[0], 0
    blocks = -(-count // _BLOCK)
    exact, least, most = np.full((3, blocks * _BLOCK), np.inf)
    exact[:count], least[:count], most[:count] = nearest, nearest, nearest
    lowest = np.empty(blocks)
    for block in range(blocks):
        lowest[block] = least[block * _BLOCK : (block + 1) * _BLOCK].min()
    # How many of the rows taken each row was looked at with.
    met = np.zeros(count, np.int64)
    while done < count:
        place = _first(least, lowest)
        _look(products, error, source, which, taken, done, place, exact, least, most, met)
        best = exact[place]
        for block in range(blocks):
            if lowest[block] > best:
                continue
            for row in range(block * _BLOCK, min((block + 1) * _BLOCK, count)):
                if least[row] <= best:
                    _look(products, error, source, which, taken, done, row, exact, least, most, met)
                    if exact[row] < best or (exact[row] == best and row < place):
                        place, best = row, exact[row]
        if best > bar[0] or (best == bar[0] and place >= bar[1]):
            break
        taken[done], levels[done] = place, best
        done += 1
        least[place], exact[place] = np.inf, np.inf
        _raise(products[place], np.float64(error), least, most, lowest)
    return done


@inlined
def _first(least: NDArray[np.float64], lowest: NDArray[np.float64]) -> int:  # pragma: no cover - machine code
    """Find the first row whose least is the lowest of all."""
    block = np.argmin(lowest)
    return int(block * _BLOCK + np.argmin(least[block * _BLOCK : (block + 1) * _BLOCK]))


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"nnan", "nsz"})
def _raise(
    news: NDArray[np.float32],
    error: float,
    least: NDArray[np.float64],
    most: NDArray[np.float64],
    lowest: NDArray[np.float64],
) -> None:  # pragma: no cover - machine code
    """Take in the products with a row that was taken, block by block, so that the lowest is found among few."""
    for row in range(news.shape[0]):
        least[row] = max(least[row], np.float64(news[row]) - error)
    for row in range(news.shape[0]):
        most[row] = max(most[row], np.float64(news[row]) + error)
    for block in range(lowest.shape[0]):
        low = np.inf
        for row in range(block * _BLOCK, (block + 1) * _BLOCK):
            low = min(low, least[row])
        lowest[block] = low


@inlined
def _look(
    products: NDArray[np.float32],
    error: float,
    source: tuple[int, int],
    which: NDArray[np.int64],
    taken: NDArray[np.int64],
    done: int,
    row: int,
    exact: NDArray[np.float64],
    least: NDArray[np.float64],
    most: NDArray[np.float64],
    met: NDArray[np.int64],
) -> None:  # pragma: no cover - machine code
    """Compute exactly what a row's highest similarity is: those taken since it was looked at that may raise it."""
    if most[row] > exact[row]:
        (address, width), own = source, products[row]
        here, need = np.int64(address + 2 * width * which[row]), exact[row] - error
        for turn in range(met[row], done):
            other = taken[turn]
            if own[other] > need:
                there = np.int64(address + 2 * width * which[other])
                value = exact_product(here, there, np.int64(width // CHUNK)) + 0.0
                exact[row] = max(exact[row], value)
                need = exact[row] - error
    met[row], least[row], most[row] = done, exact[row], exact[row]
