"""k-means over embeddings: trained on a sample by FAISS, assigned by the exact engine.

The nearest centroid is a question that the engine already answers. On the sphere it is the largest x · c. In Euclidean
terms ‖x − c‖² = ‖x‖² − 2 (x · c − ‖c‖² / 2), so it is the largest *margin* where a centroid's threshold is ‖c‖² / 2.
Centroids are float16 like everything that is compared, and ties go to the lower one, so an assignment is the same on
any machine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexes.canonical import canonical
from indexes.decide import exact_pairs
from indexes.errors import BadInputError, DataError
from indexes.queries import Queries
from indexes.scanner import ScanOptions
from indexes.search import open_scanner

_DEFAULTS = ScanOptions(k=1)


@dataclass(frozen=True, slots=True)
class Training:
    """Centroids and how far their training has come; one can be trained on, which is how a run resumes.

    Attributes:
        centroids: `(k, d)` float32.
        spherical: Whether centroids are kept at unit norm.
        seed: What the first centroids were drawn by.
        iterations: Iterations done.
    """

    centroids: NDArray[np.float32]
    spherical: bool
    seed: int
    iterations: int


@dataclass(frozen=True, slots=True)
class Assignment:
    """Attributes: cluster: `(n,)` int32. similarity: `(n,)` float64, exact inner product with its centroid."""

    cluster: NDArray[np.int32]
    similarity: NDArray[np.float64]


def begin(sample: NDArray[np.float16], clusters: int, spherical: bool = True, seed: int = 0) -> Training:
    """Draw the first centroids from the sample.

    Args:
        sample: `(n, d)` float16, canonical.
        clusters: How many; at most the rows of the sample.
        spherical: Whether similarity or Euclidean distance decides.
        seed: Decides the draw, and how FAISS splits large clusters to refill empty ones.

    Raises:
        BadInputError: If there are fewer rows than clusters, or no cluster is asked for.
    """
    if not 1 <= clusters <= len(sample):
        raise BadInputError(
            f"{clusters} clusters from a sample of {len(sample)} rows; ask for 1 to {len(sample)}"
        )
    rows = np.random.default_rng(seed).permutation(len(sample))[:clusters]
    return Training(sample[rows].astype(np.float32), spherical, seed, 0)


def train(sample: NDArray[np.float16], training: Training, iterations: int, device: str = "auto") -> Training:
    """Train until `iterations` are done in all; stopping between and going on later gives the same centroids.

    FAISS moves part of a large cluster's points to every empty one, so that no centroid is wasted.

    Raises:
        DataError: If the sample is not what the training began with.
    """
    if sample.shape[1] != training.centroids.shape[1]:
        got, expected = sample.shape[1], training.centroids.shape[1]
        raise DataError(f"the sample has width {got} but the centroids have {expected}; begin a new training")
    wide, centroids = sample.astype(np.float32), training.centroids
    for iteration in range(training.iterations, iterations):
        centroids = _step(wide, centroids, training, iteration, device)
    return Training(centroids, training.spherical, training.seed, max(iterations, training.iterations))


def _step(
    sample: NDArray[np.float32],
    centroids: NDArray[np.float32],
    training: Training,
    iteration: int,
    device: str,
) -> NDArray[np.float32]:
    import faiss

    gpu = device != "cpu" and hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus() > 0
    kmeans = faiss.Kmeans(
        sample.shape[1],
        len(centroids),
        niter=1,
        spherical=training.spherical,
        seed=training.seed + iteration,
        min_points_per_centroid=1,
        max_points_per_centroid=len(sample),
        gpu=gpu,
    )
    kmeans.train(sample, init_centroids=centroids)
    moved = np.asarray(kmeans.centroids, np.float32)
    kept = np.isfinite(moved).all(axis=1, keepdims=True)
    return np.where(kept, moved, centroids)


class Assigner:
    """Assigns a stream of samples to centroids, exactly."""

    def __init__(self, training: Training, options: ScanOptions = _DEFAULTS) -> None:
        vectors = training.centroids.astype(np.float16)
        if training.spherical:
            found = canonical(training.centroids)
            if not found.healthy.all():
                row = int(np.flatnonzero(~found.healthy)[0])
                raise DataError(f"centroid {row} has no direction; train again with fewer clusters")
            vectors = found.vectors
        self._spherical, self.centroids = training.spherical, vectors
        wide = vectors.astype(np.float64)
        levels = None if training.spherical else np.einsum("ij,ij->i", wide, wide) / 2
        starts = np.array([0, len(vectors)], np.int64)
        self._scanner = open_scanner(Queries(vectors, ("centroids",), starts, levels), options=options)

    def assign(self, samples: NDArray[np.float16]) -> Assignment:
        """Find each sample's centroid: `(n, d)` float16, canonical."""
        scores = self._scanner.scan(samples)
        if scores.margin_query is None:
            return Assignment(scores.nearest[:, 0], scores.similarity[:, 0])
        cluster = scores.margin_query[:, 0]
        rows = np.arange(len(samples), dtype=np.int64)
        return Assignment(cluster, exact_pairs(samples, self.centroids, rows, cluster.astype(np.int64)))
