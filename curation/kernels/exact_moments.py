"""Sums of vectors and of their products that come out the same bits in any order, part and thread count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ROWS = 16_384
_STEP = 2.0**12
_SUMS = ("count", "total", "coarse", "mixed", "fine")


class Moments:
    """Count, sum and second moment of rows, each sum held without rounding for up to 2^28 rows.

    A number of float16, a multiple of 2^-24, is cut into a multiple of 2^-12 and what is left, below 2^-12. Products of
    the parts are then sums of few bits, which float64 holds however a library orders them.

    Attributes:
        count: Rows.
        total: `(d,)` float64.
    """

    def __init__(self, width: int) -> None:
        self.count = 0
        self.total = np.zeros(width)
        self._coarse, self._mixed, self._fine = (np.zeros((width, width)) for _ in range(3))

    def add(self, rows: NDArray[np.float16]) -> None:
        """Add `(m, d)` rows of numbers from -1 to 1."""
        self._put(rows, 1)

    def remove(self, rows: NDArray[np.float16]) -> None:
        """Take `(m, d)` rows out that were added: what is left are the sums of the others, to the bit."""
        self._put(rows, -1)

    def _put(self, rows: NDArray[np.float16], sign: int) -> None:
        for start in range(0, len(rows), _ROWS):
            wide = rows[start : start + _ROWS].astype(np.float64)
            high = np.rint(wide * _STEP) / _STEP
            low = wide - high
            self.count += sign * len(wide)
            self.total += sign * np.add.reduce(wide, axis=0)
            self._coarse += sign * (high.T @ high)
            self._mixed += sign * (high.T @ low)
            self._fine += sign * (low.T @ low)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Write the sums, of which `merge` takes any number."""
        held = (np.int64(self.count), self.total, self._coarse, self._mixed, self._fine)
        return {name: np.asarray(value) for name, value in zip(_SUMS, held, strict=True)}

    def merge(self, held: Mapping[str, NDArray[Any]]) -> None:
        """Add the sums of other rows."""
        self.count += int(held["count"])
        self.total += held["total"]
        self._coarse += held["coarse"]
        self._mixed += held["mixed"]
        self._fine += held["fine"]

    def mean(self) -> NDArray[np.float64]:
        """Return `(d,)` the mean of at least one row."""
        return self.total / self.count

    def second(self) -> NDArray[np.float64]:
        """Return `(d, d)` the mean of x xᵀ over at least one row."""
        return np.asarray((self._coarse + (self._mixed + self._mixed.T) + self._fine) / self.count)

    def covariance(self) -> NDArray[np.float64]:
        """Return `(d, d)` the mean of (x - μ)(x - μ)ᵀ."""
        middle = self.mean()
        return np.asarray(self.second() - middle[:, None] * middle)
