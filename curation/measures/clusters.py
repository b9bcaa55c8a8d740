"""Clusters: which centroid of a k-means over the pool is nearest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal, Self

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
from indexes.clustering import kmeans
from indexes.clustering.two_nearest import TwoNearest
from indexes.errors import BadInputError, DataError, PlanError
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
    * `assignments: 2`: the columns `second` and `border` say which centroid is next, and number the pair of both in
      either order. Samples on both sides of the border between two clusters are so in one group: a second `duplicates`
      with `within: clusters.border` compares them, and finds what one assignment parts.
    * `levels: [500, 50]`: clusters of clusters, a k-means of the centroids, then one of theirs. The columns `level_2`,
      `level_3` say which of these a sample's cluster belongs to: `hierarchical: {by: [clusters.level_2,
      clusters.cluster]}` reads them.
    * `target`: a benchmark, the `reference` or one of the plan's `sources`, such as ImageNet's training images. The
      column `target` then says how many of its images take the sample's cluster, by the same assignment.

    The table `sizes` says for each cluster that has samples: `size`, the sum of their `similarity` in a `coarse` and a
    `fine` part, each exact, and `apart`, the mean of 1 - similarity to the 20 nearest other centroids.
    """

    k: Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
    sample: Annotated[int, Field(strict=True, ge=1)] | None = None
    iterations: Annotated[int, Field(strict=True, ge=1, le=1000)] = 20
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**31)] = 0
    spherical: bool = True
    assign: Literal["nearest", "product"] = "nearest"
    assignments: Literal[1, 2] = 1
    levels: Annotated[tuple[Annotated[int, Field(strict=True, ge=1)], ...], Field(min_length=1)] | None = None
    target: Annotated[str, Field(strict=True, min_length=1)] | None = None
    version: ClassVar[int] = 2
    needs: ClassVar[tuple[str, ...]] = ("image",)

    def resolved(self, where: str) -> Self:
        """Refuse a second assignment where there is one cluster, and levels that do not become fewer."""
        if self.assignments == 2 and self.k < 2:
            raise PlanError(
                f"{where}.assignments is 2, but k is {self.k}; give k of 2 or more, or leave it out"
            )
        numbers = (self.k, *(self.levels or ()))
        if any(above >= below for below, above in pairwise(numbers)):
            raise PlanError(
                f"{where}.levels is {list(self.levels or ())} over k of {self.k}; give numbers that become fewer, the "
                "first below k"
            )
        return self

    def requires(self) -> tuple[str, ...]:
        """Image embeddings, and a target's queries."""
        return self.needs if self.target is None else (*self.needs, f"{QUERIES}:{self.target}")

    def columns(self) -> tuple[Column, ...]:
        """The cluster, how near its centroid is, and how many of a target are in it."""
        own = (
            Column("cluster", pa.int32(), "number of the nearest centroid, from 0; ties go to the lower one"),
            Column("similarity", pa.float64(), "inner product with that centroid, higher is closer"),
        )
        more = (
            Column("second", pa.int32(), "number of the next nearest centroid; ties go to the lower one"),
            Column("border", pa.int64(), "number of the pair of both clusters, the same from either side"),
        )
        taken = Column("target", pa.int64(), "images of the target that take this cluster")
        found = own if self.assignments == 1 else (*own, *more)
        found = (*found, *(Column(name, pa.int32(), "cluster of clusters, from 0") for name in self._above()))
        return found if self.target is None else (*found, taken)

    def _above(self) -> list[str]:
        return [f"level_{number}" for number, _ in enumerate(self.levels or (), 2)]

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
        compared = kmeans.Assigner(trained, options, self.assign == "product").centroids
        found: dict[str, NDArray[Any]] = {
            "centroids": trained.centroids,
            "apart": distances_between(compared),
        }
        return found if self.levels is None else found | {"above": self._clustered(compared, options)}

    def _clustered(self, centroids: NDArray[np.float16], options: ScanOptions) -> NDArray[np.int32]:
        """Say `(levels, k)` which cluster of clusters each centroid belongs to."""
        of: NDArray[np.int32] = np.arange(len(centroids), dtype=np.int32)
        found = []
        for count in self.levels or ():
            begun = kmeans.begin(centroids, count, self.spherical, self.seed)
            assigner = kmeans.Assigner(kmeans.train(centroids, begun, self.iterations, options), options)
            of = assigner.assign(centroids).cluster[of]
            found.append(of)
            centroids = assigner.centroids
        return np.stack(found)

    def learns(self) -> Self:
        """All but what is asked when the centroids are there: the target, and the second nearest."""
        return replace(self, target=None, assignments=1)

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
        self._two = None
        if measure.assignments == 2:
            self._two = TwoNearest(self._assigner.centroids, self._assigner.levels, options)
        self._taken = model["taken"] if measure.target is not None else None

    def apply(self, block: Block) -> Columns:
        found = self._assigner.assign(block.vectors["image"])
        self._sizes += np.bincount(found.cluster, minlength=len(self._sizes))
        self._sums.add(found.cluster, found.similarity)
        own: dict[str, NDArray[Any]] = {"cluster": found.cluster, "similarity": found.similarity}
        if self._two is not None:
            first, second = self._two.find(block.vectors["image"])
            low, high = np.minimum(first, second).astype(np.int64), np.maximum(first, second)
            own |= {"second": second, "border": low * len(self._sizes) + high}
        for number, above in enumerate(self.model.get("above", ()), 2):
            own[f"level_{number}"] = above[found.cluster]
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
