from __future__ import annotations

import numpy as np
import pytest
from vector_worlds import clustered, unit

from indexes.errors import BadInputError, DataError
from indexes.kmeans import Assigner, Training, begin, train
from indexes.scanner import ScanOptions

both_kinds = pytest.mark.parametrize("spherical", [True, False])


@both_kinds
def test_planted_clusters_are_found(spherical: bool) -> None:
    truth = np.repeat(np.arange(8), 50)
    centres = np.eye(8, 32)
    sample = unit(centres[truth] + 0.05 * np.random.default_rng(1).normal(size=(400, 32)))
    # One seed row of each cluster, so that the answer is known whatever FAISS does.
    start = Training(sample[::50].astype(np.float32), spherical, 0, 0)
    found = Assigner(train(sample, start, 5)).assign(sample)
    np.testing.assert_array_equal(found.cluster, truth)


@both_kinds
def test_assignment_is_the_nearest_centroid_in_float64(spherical: bool) -> None:
    sample = clustered(1, 1500, 24)
    training = train(sample, begin(sample, 60, spherical, seed=3), 4)
    assigner = Assigner(training, ScanOptions(k=1, threads=2))
    found = assigner.assign(sample)
    wide, centroids = sample.astype(np.float64), assigner.centroids.astype(np.float64)
    products = wide @ centroids.T
    scores = products if spherical else products - (centroids**2).sum(axis=1) / 2
    np.testing.assert_array_equal(found.cluster, scores.argmax(axis=1))
    np.testing.assert_array_equal(found.similarity, products[np.arange(1500), found.cluster])
    if not spherical:
        distance = ((wide[:, None] - centroids[None]) ** 2).sum(axis=2)
        np.testing.assert_allclose(distance[np.arange(1500), found.cluster], distance.min(axis=1), atol=1e-12)


@both_kinds
def test_stopping_and_going_on_gives_the_same_centroids(spherical: bool) -> None:
    sample = clustered(2, 600, 16)
    whole = train(sample, begin(sample, 20, spherical), 6, device="cpu")
    half = train(sample, begin(sample, 20, spherical), 3, device="cpu")
    np.testing.assert_array_equal(train(sample, half, 6, device="cpu").centroids, whole.centroids)
    assert (half.iterations, whole.iterations) == (3, 6)
    assert train(sample, whole, 2) == whole or np.array_equal(
        train(sample, whole, 2).centroids, whole.centroids
    )


def test_seed_decides_the_beginning() -> None:
    sample = clustered(2, 300, 16)
    np.testing.assert_array_equal(begin(sample, 9, seed=4).centroids, begin(sample, 9, seed=4).centroids)
    assert not np.array_equal(begin(sample, 9, seed=4).centroids, begin(sample, 9, seed=5).centroids)


@both_kinds
def test_fewer_distinct_samples_than_clusters(spherical: bool) -> None:
    """Empty clusters cannot be avoided here; equal centroids tie, and the lower one takes all."""
    sample = np.repeat(clustered(1, 3, 16), 20, axis=0)
    training = train(sample, begin(sample, 30, spherical), 3)
    assert np.isfinite(training.centroids).all()
    found = Assigner(training).assign(sample)
    assert found.similarity.min() > 0.99
    assert len(np.unique(found.cluster)) <= 30
    assert all(len(set(found.cluster[start : start + 20])) == 1 for start in (0, 20, 40))


def test_blocks_of_a_stream_are_assigned_alike() -> None:
    sample = clustered(1, 500, 16)
    training = train(sample, begin(sample, 11), 2)
    whole, parts = Assigner(training).assign(sample), Assigner(training)
    cut = [parts.assign(block).cluster for block in np.split(sample, [1, 2, 300])]
    np.testing.assert_array_equal(np.concatenate(cut), whole.cluster)


def test_bad_input() -> None:
    sample = clustered(1, 10, 16)
    with pytest.raises(BadInputError, match="11 clusters from a sample of 10"):
        begin(sample, 11)
    with pytest.raises(BadInputError, match="0 clusters"):
        begin(sample, 0)
    with pytest.raises(DataError, match="width 16 but the centroids have 8"):
        train(sample, Training(np.eye(2, 8, dtype=np.float32), True, 0, 0), 1)
    with pytest.raises(DataError, match="centroid 1 has no direction"):
        Assigner(Training(np.eye(2, 8, dtype=np.float32) * [[1], [0]], True, 0, 0))
