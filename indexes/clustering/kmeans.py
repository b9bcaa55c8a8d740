"""k-means over embeddings, trained and assigned by the exact engine.

On the sphere the nearest centroid has the largest x · c. In Euclidean terms ‖x − c‖² = ‖x‖² − 2 (x · c − ‖c‖² / 2), so
it has the largest product less ‖c‖² / 2: on a GPU the largest *margin* of a scan, where a centroid's threshold is
‖c‖² / 2. Centroids are compared as float16 like everything else, ties go to the lower one, and a mean is taken of a sum
that float64 holds without rounding (`indexes.cpu.sums`). So training and assignment give the same bits on any machine,
with any number of threads, in blocks of any size.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from indexes.canonical import ZERO_NORM, canonical
from indexes.clustering.centroid_search import centroid_search
from indexes.decide import exact_pairs
from indexes.errors import BadInputError, DataError
from indexes.scanner import ScanOptions

_DEFAULTS = ScanOptions(k=1)
_APART = 1 / 1024
"""By this part of itself an element of a split mean moves, up in one half and down in the other: a step of float16."""


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
    """Each sample's nearest centroid.

    Attributes:
        cluster: `(n,)` int32 positions of centroids.
        similarity: `(n,)` float64, exact inner product with that centroid, higher is closer.
    """

    cluster: NDArray[np.int32]
    similarity: NDArray[np.float64]


def begin(sample: NDArray[np.float16], clusters: int, spherical: bool = True, seed: int = 0) -> Training:
    """Draw the first centroids from the sample.

    Args:
        sample: `(n, d)` float16, canonical.
        clusters: How many; at most the rows of the sample.
        spherical: Whether similarity or Euclidean distance decides.
        seed: Decides the draw, and nothing else does.

    Returns:
        Centroids before the first iteration.

    Raises:
        BadInputError: If there are fewer rows than clusters, or no cluster is asked for.
    """
    if not 1 <= clusters <= len(sample):
        raise BadInputError(
            f"{clusters} clusters from a sample of {len(sample)} rows; ask for 1 to {len(sample)}"
        )
    rows = np.random.default_rng(seed).permutation(len(sample))[:clusters]
    return Training(sample[rows].astype(np.float32), spherical, seed, 0)


def train(
    sample: NDArray[np.float16], training: Training, iterations: int, options: ScanOptions = _DEFAULTS
) -> Training:
    """Train until `iterations` are done in all; stopping between and going on later gives the same centroids.

    Lloyd's iteration: every sample goes to its nearest centroid, every centroid to the mean of its samples (on the
    sphere: to its direction). An empty cluster takes half of the largest one, so that no centroid is wasted.

    Args:
        sample: `(n, d)` float16, canonical.
        training: What to go on from.
        iterations: How many shall be done in all, those of `training` included.
        options: Device, threads and memory of the search.

    Returns:
        The centroids after `iterations`, or `training` where it has done as many.

    Raises:
        DataError: If the sample is not what the training began with.
    """
    if sample.shape[1] != training.centroids.shape[1]:
        got, expected = sample.shape[1], training.centroids.shape[1]
        raise DataError(f"the sample has width {got} but the centroids have {expected}; begin a new training")
    cluster = None
    for done in range(training.iterations + 1, iterations + 1):
        # Centroids move little: the nearest one so far rules most others out.
        found = Assigner(training, options).assign(sample, cluster)
        cluster = found.cluster
        moved = _moved(sample, found.cluster, training)
        training = replace(training, centroids=moved, iterations=done)
    return training


def _moved(sample: NDArray[np.float16], cluster: NDArray[np.int32], before: Training) -> NDArray[np.float32]:
    """Move `(k, d)` centroids to the means of their samples; one without a mean or a direction stays."""
    # Here, since numba takes half a second to load, and a plan's check needs none of it.
    from indexes.cpu.sums import sums_by_owner

    sizes = np.bincount(cluster, minlength=len(before.centroids))
    sums = sums_by_owner(sample, cluster, len(sizes))
    with np.errstate(divide="ignore", invalid="ignore"):
        means = sums / sizes[:, None]
    _split(means, sizes)
    if before.spherical:
        lengths = np.sqrt(np.add.reduce(means * means, axis=1, keepdims=True))
        with np.errstate(divide="ignore", invalid="ignore"):
            means = np.where(lengths >= ZERO_NORM, means / lengths, np.nan)
    kept = np.isfinite(means).all(axis=1, keepdims=True)
    return np.where(kept, means, before.centroids).astype(np.float32)


def _split(means: NDArray[np.float64], sizes: NDArray[np.int64]) -> None:
    """Give every empty cluster a place beside the largest one's `(k, d)` mean, as if it took half of its samples.

    FAISS draws the cluster to split by its size; taking the largest (ties: the lower) needs no draw. Clusters of one
    sample are not split. Every turn has its own pattern of signs (a Walsh function): with one pattern for all, two
    halves that are split again would meet in the middle.
    """
    width = means.shape[1]
    largest = [(-int(size), place) for place, size in enumerate(sizes) if size > 1]
    heapq.heapify(largest)
    for turn, empty in enumerate(np.flatnonzero(sizes == 0).tolist()):
        if not largest:
            return
        signs = np.bitwise_count(np.arange(width) & (1 + turn % max(1, width - 1))) % 2
        apart = np.where(signs, -_APART, _APART)
        negative, place = heapq.heappop(largest)
        means[empty], means[place] = means[place] * (1 + apart), means[place] * (1 - apart)
        half = -negative // 2
        for part, owner in ((half, empty), (-negative - half, place)):
            if part > 1:
                heapq.heappush(largest, (-part, owner))


class Assigner:
    """Assigns a stream of samples to centroids, exactly; the centroids are packed once for all blocks.

    Args:
        training: The centroids.
        options: Device, threads and memory of the search.
        by_product: Assign to the largest inner product with the centroids as they are, of whatever length, also where
            they were trained by Euclidean distance: what DataComp's image_based does.

    Attributes:
        centroids: `(k, d)` float16, as samples are compared with them.
        levels: `(k,)` float64, half their square norms, where distance decides; None where the product does.

    Raises:
        DataError: If a centroid on the sphere has no direction.
        BadInputError: If the memory limit is too small for the centroids and one block.
    """

    def __init__(
        self, training: Training, options: ScanOptions = _DEFAULTS, by_product: bool = False
    ) -> None:
        vectors = training.centroids.astype(np.float16)
        if training.spherical:
            found = canonical(training.centroids)
            if not found.healthy.all():
                row = int(np.flatnonzero(~found.healthy)[0])
                raise DataError(f"centroid {row} has no direction; train again with fewer clusters")
            vectors = found.vectors
        self.centroids = vectors
        wide = vectors.astype(np.float64)
        plain = training.spherical or by_product
        self.levels = None if plain else np.einsum("ij,ij->i", wide, wide) / 2
        self._search = centroid_search(vectors, self.levels, options)

    def assign(self, samples: NDArray[np.float16], guess: NDArray[np.int32] | None = None) -> Assignment:
        """Find each sample's nearest centroid; a block's answer does not depend on the blocks before it.

        Args:
            samples: `(n, d)` float16, canonical.
            guess: `(n,)` centroids that are likely to be near, such as the nearest of an iteration before; they change
                no answer, and spare work.

        Returns:
            `(n,)` centroids and exact similarities to them; ties go to the lower centroid.

        Raises:
            ShapeError: If the width is not the centroids'.
            DataError: If `samples` are not float16, or a row is not finite.
        """
        cluster, score = self._search(samples, guess)
        if self.levels is None:
            return Assignment(cluster, score)
        similarity, sure = _similarity(score, self.levels[cluster])
        rows = np.flatnonzero(~sure)
        similarity[rows] = exact_pairs(samples, self.centroids, rows, cluster[rows].astype(np.int64))
        return Assignment(cluster, similarity)


def _similarity(
    margin: NDArray[np.float64], level: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Recover `(n,)` exact similarities from rounded margins; and where that is certain, `(n,)` bool.

    A similarity s is a multiple of 2^-48 (`indexes.queries.MAX_NORM`). With |margin| and level below 4, the margin
    s − level was rounded by at most 2^-52, and margin + level is by at most 2^-51: the sum lies nearer to s than to any
    other multiple.
    """
    similarity = np.ldexp(np.rint(np.ldexp(margin + level, 48)), -48) + 0.0
    return similarity, (np.abs(margin) < 4) & (level < 4)
