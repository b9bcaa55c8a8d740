"""Sums of float16 rows by owner, for the means of k-means."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from indexes.cpu.kernel import compiled
from indexes.cpu.packing import padded_bits, padded_width
from indexes.cpu.primitives import CHUNK, widen

_ROWS = 8192


def sums_by_owner(rows: NDArray[np.float16], owners: NDArray[np.int32], count: int) -> NDArray[np.float64]:
    """Sum the rows of each owner.

    float16 values below 5 are multiples of 2^-24 with 27 bits at most, so the sum of 2^26 of them fits the 53 bits of
    float64: it does not round, and the order of the rows does not matter.

    Args:
        rows: `(n, d)` float16, finite.
        owners: `(n,)` int32 from 0 to `count` − 1.
        count: How many owners there are.

    Returns:
        `(count, d)` float64; zeros for an owner without rows.
    """
    width = rows.shape[1]
    sums = np.zeros((count, padded_width(width)))
    for start in range(0, len(rows), _ROWS):
        _add(padded_bits(rows[start : start + _ROWS]), owners[start : start + _ROWS], sums)
    return np.ascontiguousarray(sums[:, :width])


@compiled
def _add(
    bits: NDArray[np.uint16], owners: NDArray[np.int32], sums: NDArray[np.float64]
) -> None:  # pragma: no cover - machine code
    width = bits.shape[1]
    wide = np.empty(width, np.float32)
    start, target = np.int64(bits.ctypes.data), np.int64(wide.ctypes.data)
    for row in range(bits.shape[0]):
        widen(start + 2 * width * row, target, np.int64(width // CHUNK))
        total = sums[owners[row]]
        for i in range(width):
            total[i] += wide[i]
