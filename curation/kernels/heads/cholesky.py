"""Symmetric systems, solved element by element: the same bits whatever library multiplies matrices, on any threads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def factor(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `(d, d)` L, lower triangular, with L Lᵀ = M.

    Args:
        matrix: `(d, d)` M, symmetric and positive definite.
    """
    left = matrix.copy()
    found = np.zeros_like(matrix)
    for column in range(len(matrix)):
        pivot = np.sqrt(left[column, column])
        below = left[column:, column] / pivot
        found[column:, column] = below
        left[column + 1 :, column + 1 :] -= below[1:, None] * below[None, 1:]
    return found


def solve(lower: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `(d, m)` X with L Lᵀ X = B.

    Args:
        lower: `(d, d)` L, as `factor` gives it.
        right: `(d, m)` B.
    """
    found = right.copy()
    for row in range(len(lower)):
        found[row] /= lower[row, row]
        found[row + 1 :] -= lower[row + 1 :, row, None] * found[row]
    for row in range(len(lower) - 1, -1, -1):
        found[row] /= lower[row, row]
        found[:row] -= lower[row, :row, None] * found[row]
    return found
