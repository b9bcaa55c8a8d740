"""NormSim-D: how much a sample has of the directions of the pool, while what has least is dropped."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from curation.grouped import Grouped
from curation.kernels.exact_moments import Moments
from curation.kernels.quadratic_forms import quadratic_form
from curation.measure import Block, Column, Columns
from curation.rule import Amount
from indexes.scanner import ScanOptions

_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class NormSimD(Grouped):
    """Drop, in so many rounds, the samples with the lowest xᵀ S x (Wang et al. 2024, NormSim-D).

    S is the mean of x xᵀ over the samples that remain, anew in each round, and a round drops ⌈(N - target) /
    iterations⌉ of them, so that the last one may drop fewer. Sums are exact, so that neither parts nor threads change
    what goes. Of equal samples the higher uid goes first.

    * `fraction` or `keep`: the target, of the N samples with a vector.
    * `iterations`: rounds.
    """

    iterations: Annotated[int, Field(strict=True, ge=1, le=100_000)]
    fraction: Annotated[float, Field(strict=True, gt=0, le=1)] | None = None
    keep: Annotated[int, Field(strict=True, ge=1)] | None = None

    def __post_init__(self) -> None:
        if (self.fraction is None) == (self.keep is None):
            raise ValueError("it does not say how many samples remain; give one of: fraction, keep")

    def requires(self) -> tuple[str, ...]:
        """Image embeddings."""
        return ("image",)

    def grouped_by(self) -> str | None:
        """The pool is one group."""
        return None

    def columns(self) -> tuple[Column, ...]:
        """When it goes, and how it stood then."""
        return (
            Column("dropped_in", pa.int32(), "round in which the sample is dropped, from 1; 0 if it remains"),
            Column("norm_sim", pa.float64(), "√(xᵀ S x) in the last round that looked at it, from 0 to 1"),
        )

    def whole(self, group: Block, options: ScanOptions) -> Columns:
        """Go through the rounds."""
        vectors = group.vectors["image"]
        target = Amount(self.keep, self.fraction).of(len(group), {})
        step = math.ceil(max(0, len(group) - target) / self.iterations)
        left = np.arange(len(group))
        dropped, norms = np.zeros(len(group), np.int32), np.zeros(len(group))
        sums = Moments(vectors.shape[1])
        for rows in _blocks(vectors, left):
            sums.add(rows)
        for number in range(1, self.iterations + 1):
            squares = np.concatenate([quadratic_form(rows, sums.second()) for rows in _blocks(vectors, left)])
            norms[left] = np.sqrt(np.maximum(squares, 0.0))
            going = min(step, len(left) - target)
            if going <= 0:
                break
            lowest = np.lexsort((-left, squares))[:going]
            stays = np.ones(len(left), bool)
            stays[lowest] = False
            dropped[left[~stays]] = number
            for rows in _blocks(vectors, left[~stays]):
                sums.remove(rows)
            left = left[stays]
            if not len(left):
                break
        return {"dropped_in": dropped, "norm_sim": norms}


def _blocks(vectors: NDArray[np.float16], rows: NDArray[np.int64]) -> Iterator[NDArray[np.float16]]:
    for start in range(0, len(rows), _ROWS):
        yield np.asarray(vectors[rows[start : start + _ROWS]])
