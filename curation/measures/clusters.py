"""Clusters: which centroid of a k-means over the pool is nearest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from curation.kernels.cluster_density import ExactSums, distances_between
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
)
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
    * `assign: product`: to the largest inner product with the centroids, of whatever length they are, as DataComp's
      image_based does; on the sphere it is the same.
    * `target`: a benchmark, such as the training images of ImageNet. The column `target` then says how many of its
      images take the sample's cluster, by the same assignment.

    The table `sizes` says for each cluster that has samples: `size`, the sum of their `similarity` in a `coarse` and a
    `fine` part, each exact, and `apart`, the mean of 1 - similarity to the 20 nearest other centroids.
    """

    k: Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
    sample: Annotated[int, Field(strict=True, ge=1)] | None = None
    iterations: Annotated[int, Field(strict=True, ge=1, le=1000)] = 20
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**31)] = 0
    spherical: bool = True
    assign: Literal["nearest", "product"] = "nearest"
    target: Annotated[str, Field(strict=True, min_length=1)] | None = None
    version: ClassVar[int] = 2
    needs: ClassVar[tuple[str, ...]] = ("image",)

    def requires(self) -> tuple[str, ...]:
        """Image embeddings, and a target's queries."""
        return self.needs if self.target is None else (*self.needs, f"{QUERIES}:{self.target}")

    def columns(self) -> tuple[Column, ...]:
        """The cluster, how near its centroid is, and how many of a target are in it."""
        own = (
            Column("cluster", pa.int32(), "number of the nearest centroid, from 0; ties go to the lower one"),
            Column("similarity", pa.float64(), "inner product with that centroid, higher is closer"),
        )
        taken = Column("target", pa.int64(), "images of the target that take this cluster")
        return own if self.target is None else (*own, taken)

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
        trained = kmeans.train(vectors, begun, self.iterations, options)
        apart = distances_between(kmeans.Assigner(trained, options, self.assign == "product").centroids)
        return {"centroids": trained.centroids, "apart": apart}

    def learns(self) -> Self:
        """All but the target, which is looked at when the centroids are there."""
        return replace(self, target=None)

    def summarises(self) -> bool:
        """A target's images are counted once."""
        return self.target is not None

    def summary(self, target: NDArray[np.float16], model: Model, options: ScanOptions = DEFAULTS) -> Model:
        """Count `(k,)` the target's images in each cluster."""
        found = self.assigner(model, options).assign(target).cluster
        return {"taken": np.bincount(found, minlength=self.k)}

    def assigner(self, model: Model, options: ScanOptions) -> kmeans.Assigner:
        """Open one search over the centroids."""
        training = kmeans.Training(model["centroids"], self.spherical, self.seed, self.iterations)
        return kmeans.Assigner(training, options, self.assign == "product")

    def start(self, model: Model, tables: Tables, options: ScanOptions = DEFAULTS) -> Running:
        """Open one search over the centroids for the whole part."""
        return _Assigning(self, model, options)

    def apply(self, block: Block, model: Model) -> Columns:
        """Refuse to count blocks apart."""
        raise TypeError("clusters works on whole parts: call start")


class _Assigning(Running):
    """Assigns a part's blocks and adds up what each cluster gets."""

    def __init__(self, measure: Clusters, model: Model, options: ScanOptions) -> None:
        super().__init__(measure, model)
        self._assigner = measure.assigner(model, options)
        self._sizes = np.zeros(measure.k, dtype=np.int64)
        self._sums = ExactSums(measure.k)
        self._taken = model["taken"] if measure.target is not None else None

    def apply(self, block: Block) -> Columns:
        found = self._assigner.assign(block.vectors["image"])
        self._sizes += np.bincount(found.cluster, minlength=len(self._sizes))
        self._sums.add(found.cluster, found.similarity)
        own = {"cluster": found.cluster, "similarity": found.similarity}
        return own if self._taken is None else own | {"target": self._taken[found.cluster]}

    def finish(self) -> Mapping[str, pa.Table]:
        used = np.flatnonzero(self._sizes)
        columns = {
            "cluster": used.astype(np.int32),
            "size": self._sizes[used],
            "coarse": self._sums.coarse[used],
            "fine": self._sums.fine[used],
            "apart": self.model["apart"][used],
        }
        return {"sizes": pa.table(columns)}
