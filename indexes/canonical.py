"""From embeddings as people store them to the one form that nearfar compares: float16 of unit norm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.errors import DataError, ShapeError

UNIT_TOLERANCE = 2e-3
"""A row whose norm lies this near to 1 counts as normalised; its bits are kept."""

ZERO_NORM = 1e-6
"""A row shorter than this has no direction."""

REASONS: tuple[str, ...] = ("", "nan", "infinite", "zero")
_NAN, _INFINITE, _ZERO = 1, 2, 3
_ELEMENTS = 1 << 14
"""Rows are measured so many numbers at a time, which stay in the cache as float64."""


@dataclass(frozen=True, slots=True)
class Canonical:
    """The healthy rows of a block, and what was wrong with the others.

    Attributes:
        vectors: `(m, d)` float16, the healthy rows in their order.
        healthy: `(n,)` bool.
        reasons: `(n,)` uint8, an index into `REASONS`.
        normalised: How many healthy rows were not of unit norm and were divided by it.
    """

    vectors: NDArray[np.float16]
    healthy: NDArray[np.bool_]
    reasons: NDArray[np.uint8]
    normalised: int


def canonical(block: NDArray[Any]) -> Canonical:
    """Bring a block of embeddings into canonical form.

    A row of norm 1 ± `UNIT_TOLERANCE` is cast to float16 as it is (float16 rows keep their bits); any other
    finite row of norm at least `ZERO_NORM` is divided by its norm in float32 and then cast. Rows with a NaN,
    an infinite value, or no length are left out and named.

    Args:
        block: `(n, d)` float16, float32 or float64.

    Returns:
        The healthy rows as float16, with a reason for each other row.

    Raises:
        ShapeError: If `block` is not two-dimensional.
        DataError: If its numbers are not floating point.
    """
    if block.ndim != 2:
        raise ShapeError(f"embeddings must be (rows, width), got an array of shape {block.shape}")
    if block.dtype.kind != "f" or block.dtype.itemsize > 8:
        raise DataError(f"embeddings must be float16, float32 or float64, got {block.dtype}")
    rows = len(block)
    norms = np.empty(rows, np.float64)
    step = max(1, _ELEMENTS // max(1, block.shape[1]))
    for start in range(0, rows, step):
        norms[start : start + step] = _norms(block[start : start + step])
    reasons = _reasons(block, norms)
    healthy = reasons == 0
    stretched = healthy & ~(np.abs(norms - 1.0) <= UNIT_TOLERANCE)
    vectors = block if healthy.all() else block[healthy]
    vectors = _unit(vectors, norms[healthy], stretched[healthy])
    return Canonical(vectors, healthy, reasons, int(stretched.sum()))


def _norms(block: NDArray[Any]) -> NDArray[np.float64]:
    """Row norms in float64; rows that overflow or underflow there are scaled first, NaN stays NaN."""
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        wide = block.astype(np.float64)
        norms: NDArray[np.float64] = np.sqrt(np.add.reduce(wide * wide, axis=1))
        extreme = np.flatnonzero(np.isinf(norms))
        if len(extreme):
            largest = np.abs(wide[extreme]).max(axis=1, keepdims=True)
            scaled = wide[extreme] / largest
            norms[extreme] = largest[:, 0] * np.sqrt(np.add.reduce(scaled * scaled, axis=1))
    return norms


def _reasons(block: NDArray[Any], norms: NDArray[np.float64]) -> NDArray[np.uint8]:
    reasons = np.zeros(len(block), np.uint8)
    reasons[norms < ZERO_NORM] = _ZERO
    for row in np.flatnonzero(~np.isfinite(norms)):
        values = block[row]
        if np.isnan(values).any():
            reasons[row] = _NAN
        elif np.isinf(values).any():
            reasons[row] = _INFINITE
    return reasons


def _unit(
    vectors: NDArray[Any], norms: NDArray[np.float64], stretched: NDArray[np.bool_]
) -> NDArray[np.float16]:
    """Cast to float16, dividing the rows of `stretched` by their norm in float32 first."""
    with np.errstate(over="ignore", under="ignore"):
        out: NDArray[np.float16] = vectors.astype(np.float16, copy=False)
        rows = np.flatnonzero(stretched)
        if not len(rows):
            return out
        out = out.copy() if out is vectors or out.base is not None else out
        step = max(1, _ELEMENTS // max(1, vectors.shape[1]))
        for start in range(0, len(rows), step):
            some = rows[start : start + step]
            out[some] = _divided(vectors[some], norms[some])
    return out


def _divided(vectors: NDArray[Any], norms: NDArray[np.float64]) -> NDArray[np.float16]:
    """Divide by a power of two first (exact), so that huge and tiny rows fit float32."""
    _, exponents = np.frexp(norms)
    scaled = np.ldexp(vectors.astype(np.float64), -exponents[:, None]).astype(np.float32)
    lengths = np.ldexp(norms, -exponents).astype(np.float32)
    return (scaled / lengths[:, None]).astype(np.float16)
