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
from indexes.scanner import ScanOptions
from indexes.search import open_scanner


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
    """max |s| is the largest product with a query or its opposite."""

    def __init__(self, measure: NormSim, vectors: NDArray[np.float16], options: ScanOptions) -> None:
        super().__init__(measure, {})
        both = np.concatenate([vectors, -vectors])
        queries = Queries(both, (measure.to,), np.array([0, len(both)], np.int64), None)
        self._scanner = open_scanner(queries, "exact", replace(options, k=1))

    def apply(self, block: Block) -> Columns:
        return {"norm_sim": self._scanner.scan(block.vectors["image"]).similarity[:, 0]}
