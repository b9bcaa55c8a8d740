"""What singular values say of how many directions embeddings use (diagnostics for arXiv 2304.03717)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RANK = 50
"""r of the condition number s_1 / s_r; the rank where that is less."""
UNIFORMITY = 2.0
"""t of log E exp(-t ‖x - y‖²) (Wang and Isola 2020)."""
_DIGITS = 10


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Singular values, and what they come to.

    Attributes:
        values: `(m,)` float64, falling, to ten digits; those at or below the tolerance are 0.
        tolerance: Below it a value cannot be told from 0 by float64.
        rank: How many are above it.
        effective_rank: exp of the entropy of the values over their sum; 0 where there is none.
        r: Which value the largest is divided by.
        condition: s_1 / s_r; None where no value is above the tolerance.
    """

    values: NDArray[np.float64]
    tolerance: float
    rank: int
    effective_rank: float
    r: int
    condition: float | None


def spectrum_of_rows(covariance: NDArray[np.float64]) -> Spectrum:
    """Singular values of centred rows over √n: the roots of the eigenvalues of their `(d, d)` covariance.

    An eigenvalue carries an error of about d · 2^-52 times the largest mean square, which its root makes larger: what
    is below √d · 2^-26 is taken as 0.
    """
    found = np.sqrt(np.maximum(np.linalg.eigvalsh(covariance)[::-1], 0.0))
    return _described(found, float(np.sqrt(len(covariance)) * 2.0**-26))


def spectrum_of_cross(covariance: NDArray[np.float64]) -> Spectrum:
    """Singular values of a `(d, e)` cross-covariance; what is below max(d, e) · 2^-52 is taken as 0."""
    found = np.linalg.svd(covariance, compute_uv=False).astype(np.float64)
    return _described(found, max(covariance.shape) * 2.0**-52)


def _described(found: NDArray[np.float64], tolerance: float) -> Spectrum:
    # Libraries differ in the last bits; ten digits are the same on all of them, nearly always.
    values = np.array([float(f"{value:.{_DIGITS}g}") for value in found])
    values[values <= tolerance] = 0.0
    rank = int(np.count_nonzero(values))
    shares = values[:rank] / values.sum() if rank else np.empty(0)
    effective = float(np.exp(-np.add.reduce(shares * np.log(shares)))) if rank else 0.0
    r = min(RANK, rank)
    condition = float(values[0] / values[r - 1]) if rank else None
    return Spectrum(values, tolerance, rank, effective, r, condition)


def uniformity(rows: NDArray[np.float16]) -> float | None:
    """Return log E exp(-2 ‖x - y‖²) over all pairs of `(m, d)` unit rows, lower is more uniform; None below 2 rows."""
    if len(rows) < 2:
        return None
    wide = rows.astype(np.float64)
    products = wide @ wide.T
    squares = np.diag(products)
    apart = squares[:, None] + squares - 2 * products
    powers = np.exp(-UNIFORMITY * apart[np.triu_indices(len(rows), 1)])
    return float(np.log(np.add.reduce(powers) / len(powers)))
