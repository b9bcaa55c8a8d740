"""What the pass over a lattice works on: both sides laid out for the tile, what scores are, what is known of a row."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

KEPT: Final = 12
"""Columns that a row may collect before they are resolved."""

NO_COLUMN: Final = np.int32(-1)

KNOWN = np.dtype(
    [
        ("best", np.float64),
        ("least", np.float64),
        ("reach", np.int64),
        ("column", np.int32),
        ("count", np.int32),
        ("top", np.int32),
        ("waiting", np.int32, (KEPT,)),
        ("sum", np.int32, (KEPT,)),
    ]
)
"""What is known of a row: its best exact score and column; what a column must score to be looked for, and the `reach`
of that; the largest sum over all numbers; and columns that wait for their exact product, with their sums."""


class Laid(NamedTuple):
    """Rows or columns on a lattice, laid out for the tile, beside the vectors that they are.

    Attributes:
        panels: `(p, u, lanes)` int32.
        level: `(stages, n or more)` int32, over the first numbers: of rows half their squares, of columns what is taken
            off the sums.
        units: `(n, u)` int32.
        vectors: Address of `(m, padded width)` float16 vectors, of which these are some.
        width: Their padded width.
        which: `(n,)` int64, their places there.
        norm: `(n,)` float64 square norms.
        lost: `(n,)` float64, what was rounded off of each, in numbers.
    """

    panels: NDArray[np.int32]
    level: NDArray[np.int32]
    units: NDArray[np.int32]
    vectors: int
    width: int
    which: NDArray[np.int64]
    norm: NDArray[np.float64]
    lost: NDArray[np.float64]


class Scoring(NamedTuple):
    """What the columns' scores are.

    Attributes:
        off: `(n,)` float64, what is taken off a product; empty for nothing.
        rank: `(n,)` int64; of equal scores that of the column with the lower rank is the best.
    """

    off: NDArray[np.float64]
    rank: NDArray[np.int64]


class Room(NamedTuple):
    """Room that the pass writes to.

    Attributes:
        tile: `(32 + ROWS * COLUMNS,)` int32, a tile's answer; it begins at a cache line.
        cut: `(m * ROWS,)` int32, what a sum must reach, row by row.
        known: `(n,)` of `KNOWN`.
    """

    tile: NDArray[np.int32]
    cut: NDArray[np.int32]
    known: NDArray[Any]
