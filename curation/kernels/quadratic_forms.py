"""Quadratic forms over unit vectors that come out the same bits in any block, order and thread count."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ROWS = 65_536
_STEP = 2.0**12
_BITS = 22
"""Bits of a matrix that are multiplied at once: a unit row (multiples of 2^-24) times such a slice stays within 53 bits
for rows of up to 16,384 numbers."""
_SLICES = 3


def second_moment(vectors: NDArray[np.float16]) -> NDArray[np.float64]:
    """Return `(d, d)` QᵀQ, the sum of q qᵀ over the rows.

    Each number, a multiple of 2^-24, is cut into a multiple of 2^-12 and what is left, below 2^-12. Products of the
    parts are then sums of few bits, which float64 holds without rounding however a library orders them; so neither
    threads nor the order of the rows matter.

    Args:
        vectors: `(n, d)` float16 of unit norm, n at most 2^28.
    """
    width = vectors.shape[1]
    coarse, mixed, fine = (np.zeros((width, width)) for _ in range(3))
    for start in range(0, len(vectors), _ROWS):
        rows = vectors[start : start + _ROWS].astype(np.float64)
        high = np.rint(rows * _STEP) / _STEP
        low = rows - high
        coarse += high.T @ high
        mixed += high.T @ low
        fine += low.T @ low
    return np.asarray(coarse + (mixed + mixed.T) + fine)


def quadratic_form(rows: NDArray[np.float16], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `(n,)` xᵀ M x of each row.

    M is cut into slices of few bits, so that each product is exact however a library orders its sums.

    Args:
        rows: `(n, d)` float16 of unit norm, d at most 16,384.
        matrix: `(d, d)` float64.
    """
    wide = rows.astype(np.float64)
    products = np.zeros_like(wide)
    for part in slices(matrix):
        products += wide @ part
    return np.asarray(np.add.reduce(np.ascontiguousarray(products * wide), axis=1))


def slices(matrix: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Cut numbers into parts of 22 bits, highest first; what is below 2^-66 of the largest goes.

    Each part times a unit row of float16 is a sum that float64 holds without rounding.
    """
    largest = float(np.abs(matrix).max(initial=0.0))
    if largest == 0:
        return []
    unit = 2.0 ** (np.ceil(np.log2(largest)) - _BITS)
    found, left = [], matrix
    for _ in range(_SLICES):
        part = np.rint(left / unit) * unit
        found.append(part)
        left, unit = left - part, unit * 2.0**-_BITS
    return found
