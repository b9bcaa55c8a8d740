"""The small side of a search: the queries of several benchmarks, packed one benchmark after the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexes.errors import DataError, ShapeError

MAX_NORM = 5.0
"""Norm below which an inner product in float64 has no rounding: partial sums stay under 32 = 2^5, and all
terms are multiples of 2^-48, so 53 bits hold them."""


@dataclass(frozen=True, slots=True)
class Queries:
    """Queries of one or more benchmarks (segments), with the threshold of each query where there is one.

    Attributes:
        vectors: `(q, d)` float16, canonical (see `indexes.canonical`), benchmark after benchmark.
        names: The benchmarks' names, in the order of their segments.
        starts: `(s + 1,)` int64; segment `i` is rows `starts[i]` to `starts[i + 1]`.
        thresholds: `(q,)` float64, finite, or None where there is no reference set.

    Raises:
        ShapeError: If the parts do not fit together.
        DataError: If a benchmark is empty, or a vector or threshold is not finite.
    """

    vectors: NDArray[np.float16]
    names: tuple[str, ...]
    starts: NDArray[np.int64]
    thresholds: NDArray[np.float64] | None

    def __post_init__(self) -> None:
        """Refuse what no scan could answer."""
        if self.vectors.ndim != 2 or self.vectors.dtype != np.float16:
            got = f"{self.vectors.dtype} of shape {self.vectors.shape}"
            raise ShapeError(
                f"queries must be (q, d) float16, got {got}; pass them through canonical() first"
            )
        self._check_segments()
        self._check_values()

    def _check_segments(self) -> None:
        starts = self.starts
        fits = starts.shape == (len(self.names) + 1,) and len(self.names) > 0
        if not fits or starts[0] != 0 or starts[-1] != len(self.vectors):
            raise ShapeError(
                f"{len(self.names)} benchmarks over {len(self.vectors)} queries need "
                f"{len(self.names) + 1} boundaries from 0 to {len(self.vectors)}, got {starts.tolist()}"
            )
        empty = [name for name, size in zip(self.names, np.diff(starts), strict=True) if size <= 0]
        if empty:
            raise DataError(f"benchmark '{empty[0]}' has no queries; every benchmark needs at least one")
        if self.thresholds is not None and self.thresholds.shape != (len(self.vectors),):
            raise ShapeError(f"got {self.thresholds.shape} thresholds for {len(self.vectors)} queries")

    def _check_values(self) -> None:
        if self.vectors.shape[1] == 0:
            raise ShapeError("queries have width 0; embeddings need at least one column")
        check_norms(self.vectors, "query")
        limit = MAX_NORM * MAX_NORM
        if self.thresholds is not None and not (np.abs(self.thresholds) <= limit).all():
            row = int(np.flatnonzero(~(np.abs(self.thresholds) <= limit))[0])
            raise DataError(
                f"threshold of query {row} is {self.thresholds[row]}; thresholds are similarities "
                f"and lie within ±{limit:g}"
            )

    @property
    def width(self) -> int:
        """Number of columns of an embedding."""
        return int(self.vectors.shape[1])

    def positions(self, packed: NDArray[np.int64]) -> NDArray[np.int32]:
        """Turn `(…, s)` packed positions into positions inside their segment."""
        return (packed - self.starts[:-1]).astype(np.int32)


def check_norms(vectors: NDArray[np.float16], what: str, first: int = 0) -> None:
    """Refuse rows that are not finite or so long that float64 sums could round.

    Args:
        vectors: `(n, d)` float16.
        what: What a row is called: `query` or `sample`.
        first: The first row's number.

    Raises:
        DataError: Naming the first such row.
    """
    for start in range(0, len(vectors), 8192):
        block = vectors[start : start + 8192].astype(np.float32)
        squares = np.einsum("ij,ij->i", block, block)
        bad = np.flatnonzero(~(squares < MAX_NORM * MAX_NORM))
        if len(bad):
            row = first + start + int(bad[0])
            norm = float(np.sqrt(squares[bad[0]]))
            raise DataError(
                f"{what} {row} has norm {norm:g}; a search takes finite vectors of norm below {MAX_NORM:g}. "
                "Pass the vectors through canonical() first"
            )
