"""NormSim: how much of a target's directions a sample has."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from curation.kernels.quadratic_forms import quadratic_form, second_moment
from curation.measure import (
    DEFAULTS,
    QUERIES,
    Block,
    Column,
    Columns,
    Measure,
    Model,
    Running,
    Tables,
    query_vectors,
)
from indexes.queries import Queries
from indexes.scanner import Scanner, ScanOptions
from indexes.search import open_scanner

_ROUNDING = 1e-3
"""Many times what float32 loses in a sum of thousands of products of unit vectors."""


@dataclass(frozen=True, slots=True)
class NormSim(Measure):
    """Norm of a sample's products with the images of one set, the target (Wang et al. 2024, NormSim).

    * `to`: a benchmark, the `reference`, or one of the plan's `sources`.
    * `norm: inf`: the largest *absolute* product, by the exact engine over the queries and their opposites.
    * `norm: 2`: ‖Q x‖₂ = √(xᵀ QᵀQ x), so that the cost does not grow with the queries.

    NormSim-D, which takes its target from what is left of the pool and repeats, is the measure `norm_sim_d`.
    """

    to: Annotated[str, Field(strict=True, min_length=1)]
    norm: Literal[2, "inf"] = "inf"

    def requires(self) -> tuple[str, ...]:
        """Image embeddings, and the target's queries, whole."""
        return ("image", f"{QUERIES}:{self.to}")

    def columns(self) -> tuple[Column, ...]:
        """The norm alone."""
        return (
            Column("norm_sim", pa.float64(), "norm of the products with the target's queries, from 0 up"),
        )

    def summarises(self) -> bool:
        """The quadratic form is summed up once."""
        return self.norm == 2

    def summary(self, target: NDArray[np.float16], model: Model, options: ScanOptions = DEFAULTS) -> Model:
        """Sum `(d, d)` QᵀQ."""
        return {"moment": second_moment(target)}

    def start(self, model: Model, tables: Tables, options: ScanOptions = DEFAULTS) -> Running:
        """Hold the target ready."""
        if self.norm == 2:
            return _Squared(self, model)
        return _Largest(self, query_vectors(tables[f"{QUERIES}:{self.to}"]), options)

    def apply(self, block: Block, model: Model) -> Columns:
        """Refuse to work without the target."""
        raise TypeError("norm_sim works on whole parts: call start")


class _Squared(Running):
    """The root of the quadratic form."""

    def apply(self, block: Block) -> Columns:
        squares = quadratic_form(block.vectors["image"], self.model["moment"])
        return {"norm_sim": np.sqrt(np.maximum(squares, 0.0))}


class _Largest(Running):
    """max |s|: the largest product, and the largest with an opposite where that could be larger.

    Let e be the direction of the queries' mean, and x a sample with e·x ≥ 0. Then for every query q,
    -q·x ≤ ‖q - (e·q)e‖ ‖x - (e·x)e‖ - (e·q)(e·x). Embeddings of a tower share a direction, so that for nearly all of
    them this lies below their largest product, which is then the norm; the others look at the opposites too. How many
    are proven depends on this arithmetic, what comes out does not.
    """

    def __init__(self, measure: NormSim, vectors: NDArray[np.float16], options: ScanOptions) -> None:
        super().__init__(measure, {})
        mean = vectors.mean(axis=0, dtype=np.float64)
        length = float(np.linalg.norm(mean))
        self._direction = (mean / length if length > _ROUNDING else 0.0 * mean).astype(np.float32)
        along, aside = self._parts(vectors)
        self._along, self._aside = float(along.min()), float(aside.max())
        self._name, self._vectors, self._options = measure.to, vectors, replace(options, k=1)
        self._above = self._opened(vectors)
        self._below: Scanner | None = None

    def _parts(self, vectors: NDArray[np.float16]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Say how long `(n, d)` vectors are along the direction, and across it; `(n,)` each."""
        wide = vectors.astype(np.float32)
        along = wide @ self._direction
        return along, np.sqrt(np.maximum(np.einsum("ij,ij->i", wide, wide) - along**2, 0.0))

    def _opened(self, vectors: NDArray[np.float16]) -> Scanner:
        queries = Queries(vectors, (self._name,), np.array([0, len(vectors)], np.int64), None)
        return open_scanner(queries, "exact", self._options)

    def apply(self, block: Block) -> Columns:
        samples = block.vectors["image"]
        largest = self._above.scan(samples).similarity[:, 0].copy()
        along, aside = self._parts(samples)
        opposite = np.where(along < 0, np.inf, aside * self._aside - along * self._along)
        unproven = np.flatnonzero(opposite + _ROUNDING >= largest)
        if len(unproven):
            self._below = self._below or self._opened(-self._vectors)
            opposites = self._below.scan(samples[unproven]).similarity[:, 0]
            largest[unproven] = np.maximum(largest[unproven], opposites)
        return {"norm_sim": largest}
