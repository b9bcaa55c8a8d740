"""Clusters: which centroid of a k-means over the pool is nearest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field

from curation.measure import DEFAULTS, Block, Column, Columns, Measure, Model, Running, Tables
from indexes import kmeans
from indexes.errors import BadInputError, DataError
from indexes.scanner import ScanOptions

ROWS_A_CLUSTER = 256


@dataclass(frozen=True, slots=True)
class Clusters(Measure):
    """Spherical k-means on a sample of the pool, and assignment of every sample, both by the exact engine.

    * `k`: clusters.
    * `sample`: rows that it is trained on, the lowest by hash of (uid, seed); by default 256 for each cluster.
    * `iterations`, `seed`: of the training.
    * `spherical: false`: plain Euclidean k-means; `similarity` is then the inner product with the centroid.

    The table `sizes` says how many samples each cluster has.
    """

    k: Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
    sample: Annotated[int, Field(strict=True, ge=1)] | None = None
    iterations: Annotated[int, Field(strict=True, ge=1, le=1000)] = 20
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**31)] = 0
    spherical: bool = True
    needs: ClassVar[tuple[str, ...]] = ("image",)

    def columns(self) -> tuple[Column, ...]:
        """The cluster, and how near its centroid is."""
        return (
            Column("cluster", pa.int32(), "number of the nearest centroid, from 0; ties go to the lower one"),
            Column("similarity", pa.float64(), "inner product with that centroid, higher is closer"),
        )

    def sample_rows(self) -> int:
        """Rows of the training sample."""
        return self.sample or ROWS_A_CLUSTER * self.k

    def train(self, sample: Block, options: ScanOptions = DEFAULTS) -> Model:
        """Draw the first centroids, then move them."""
        vectors = sample.vectors["image"]
        try:
            begun = kmeans.begin(vectors, self.k, self.spherical, self.seed)
        except BadInputError as error:
            raise DataError(
                f"clusters: {error}; the pool gave that many comparable vectors. Lower k"
            ) from error
        return {"centroids": kmeans.train(vectors, begun, self.iterations, options).centroids}

    def start(self, model: Model, tables: Tables, options: ScanOptions = DEFAULTS) -> Running:
        """Open one search over the centroids for the whole part."""
        return _Assigning(self, model, options)

    def apply(self, block: Block, model: Model) -> Columns:
        """Assign one block by itself."""
        return self.start(model, {}).apply(block)


class _Assigning(Running):
    """Assigns a part's blocks and counts what each cluster gets."""

    def __init__(self, measure: Clusters, model: Model, options: ScanOptions) -> None:
        super().__init__(measure, model)
        training = kmeans.Training(model["centroids"], measure.spherical, measure.seed, measure.iterations)
        self._assigner = kmeans.Assigner(training, options)
        self._sizes = np.zeros(measure.k, dtype=np.int64)

    def apply(self, block: Block) -> Columns:
        found = self._assigner.assign(block.vectors["image"])
        self._sizes += np.bincount(found.cluster, minlength=len(self._sizes))
        return {"cluster": found.cluster, "similarity": found.similarity}

    def finish(self) -> Mapping[str, pa.Table]:
        used = np.flatnonzero(self._sizes)
        return {"sizes": pa.table({"cluster": used.astype(np.int32), "size": self._sizes[used]})}
