"""What the fused pass works on: a block of samples, what is known of each row, and pairs to look at again."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

KEPT: Final = 12
"""Candidates that a row may collect before they are resolved."""

MOST_RANKS: Final = 64
"""Up to this k, offers are thinned out by their screened scores before any exact product."""

NO_QUERY: Final = np.int32(2**31 - 1)

ROW = np.dtype(
    [
        ("best", np.float64),
        ("query", np.int32),
        ("count", np.int32),
        ("top", np.float32),
        ("over", np.int32),
        ("column", np.int32, (KEPT,)),
        ("score", np.float32, (KEPT,)),
    ]
)
"""What is known of a row in the segment at hand: the largest exact value and its packed query, the largest screened
score, how many thresholds are exceeded, and candidates that wait for their exact product."""

OFFER = np.dtype(
    [
        ("exact", np.float64),
        ("row", np.int32),
        ("column", np.int32),
        ("score", np.float32),
        ("unused", np.int32),
    ]
)
"""A pair that may be among its query's nearest."""


class Scratch(NamedTuple):
    """Room for some samples in work.

    Attributes:
        panels: `(m, units, ROWS)` int32 operands.
        cut: `(m, 2, ROWS)` float32; a score below it cannot be the row's maximum. Kind 0 is similarity, 1 margin.
        rows: `(2, m * ROWS)` of `ROW`.
        tile: `(ROWS, COLUMNS)` float32 products of the tile at hand.
        nothing: `(COLUMNS,)` float32 zeros, the levels of similarities.
        offers: `(capacity,)` of `OFFER`.
        ranks: `(COLUMNS, min(k, MOST_RANKS))` float32, room to find each query's k-th best offer.
        crowd: As many offers as k for each query of a panel; a few times as many are worth thinning out.
    """

    panels: NDArray[np.int32]
    cut: NDArray[np.float32]
    rows: NDArray[Any]
    tile: NDArray[np.float32]
    nothing: NDArray[np.float32]
    offers: NDArray[Any]
    ranks: NDArray[np.float32]
    crowd: int


class Question(NamedTuple):
    """What one call of `screen` is asked.

    Attributes:
        rows: Samples in the block.
        start: First panel of the range; here nothing is known of the rows yet.
        first: Panel to go on with.
        last: End of the range.
        error: Bound of `indexes.bound`.
        form: What the tile multiplies (`kernel.FLOAT32` and those beside it).
        scale: What a product of integers is multiplied by.
        margins: Whether margins are asked.
        counting: Whether every margin above zero is.
    """

    rows: int
    start: int
    first: int
    last: int
    error: float
    form: int
    scale: float
    margins: bool
    counting: bool


class Exact(NamedTuple):
    """Where the float16 rows of both sides are: addresses, bytes and chunks per row; and what it takes to cut.

    `error` is the screen's bound, and `least` the lowest margin that need not be looked at: -error if margins above
    zero are counted, else +inf.
    """

    samples: int
    queries: int
    stride: int
    chunks: int
    error: float
    least: float


class PanelMaxima(NamedTuple):
    """Exact maxima of one panel range: `(2, rows, segments)` values and packed query positions.

    `over` counts the margins above zero, `(rows, segments)` int32.
    """

    value: NDArray[np.float64]
    query: NDArray[np.int32]
    over: NDArray[np.int32]
