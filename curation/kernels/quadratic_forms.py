"""Quadratic forms over unit vectors that come out the same bits in any block, order and thread count."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ROWS = 16
"""Products of so many unit rows stay under 2^5 and are multiples of 2^-48: float64 sums them without rounding."""
_STEP = 2.0**24
_BITS = 22
"""Bits of a matrix that are multiplied at once: a unit row (multiples of 2^-24) times such a slice stays within 53 bits
for rows of up to 16,384 numbers."""
_SLICES = 3


def second_moment(vectors: NDArray[np.float16]) -> NDArray[np.float64]:
    """Return `(d, d)` QᵀQ, the sum of q qᵀ over the rows.

    Each partial sum is exact, and is kept as a coarse and a fine part that add up exactly too, so the one rounding is
    the last: the order of the rows does not matter.

    Args:
        vectors: `(n, d)` float16 of unit norm, n below 2^28.
    """
    width = vectors.shape[1]
    coarse, fine = np.zeros((width, width)), np.zeros((width, width))
    for start in range(0, len(vectors), _ROWS):
        rows = vectors[start : start + _ROWS].astype(np.float64)
        part = rows.T @ rows
        rounded = np.rint(part * _STEP) / _STEP
        coarse += rounded
        fine += part - rounded
    return coarse + fine


def quadratic_form(rows: NDArray[np.float16], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `(n,)` xᵀ M x of each row.

    M is cut into slices of few bits, so that each product is exact however a library orders its sums.

    Args:
        rows: `(n, d)` float16 of unit norm, d at most 16,384.
        matrix: `(d, d)` float64.
    """
    wide = rows.astype(np.float64)
    products = np.zeros_like(wide)
    for part in _slices(matrix):
        products += wide @ part
    return np.asarray(np.add.reduce(np.ascontiguousarray(products * wide), axis=1))


def _slices(matrix: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Cut `(d, d)` numbers into parts of 22 bits, highest first; what is below 2^-66 of the largest goes."""
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
