"""k-means against Lloyd's iteration in float64: the same bits whatever the order, the threads and the blocks."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from vector_worlds import clustered, uids_of, unit

from indexes.clustering import centroid_search, kmeans, nearest_centroids
from indexes.clustering.kmeans import Assigner, Training, begin, train
from indexes.cpu import sums
from indexes.errors import BadInputError, DataError, ShapeError
from indexes.greedy.earlier import nearest_earlier
from indexes.scanner import ScanOptions
from indexes.search import open_scanner

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
    whole = train(sample, begin(sample, 20, spherical), 6)
    half = train(sample, begin(sample, 20, spherical), 3)
    np.testing.assert_array_equal(train(sample, half, 6).centroids, whole.centroids)
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


def lloyd(sample: np.ndarray, centroids: np.ndarray, spherical: bool) -> np.ndarray:
    """One iteration in the plainest way, for clusters none of which is empty."""
    held = unit(centroids) if spherical else centroids.astype(np.float16)
    wide, points = held.astype(np.float64), sample.astype(np.float64)
    scores = points @ wide.T - (0 if spherical else (wide**2).sum(axis=1) / 2)
    owner = scores.argmax(axis=1)
    means = np.stack([points[owner == place].mean(axis=0) for place in range(len(centroids))])
    return means / np.linalg.norm(means, axis=1, keepdims=True) if spherical else means


@both_kinds
def test_training_is_lloyds_iteration(spherical: bool) -> None:
    sample = clustered(1, 900, 24)
    training = begin(sample, 20, spherical, seed=2)
    for done in range(1, 4):
        expected = lloyd(sample, training.centroids, spherical)
        training = train(sample, training, done)
        np.testing.assert_allclose(training.centroids, expected, rtol=0, atol=1e-7)


@both_kinds
def test_the_same_centroids_from_any_order_threads_and_memory(spherical: bool) -> None:
    """A mean is taken of a sum that does not round, so not one bit depends on how the sample was gone through."""
    sample = clustered(3, 2000, 40)
    start = begin(sample, 30, spherical)
    whole = train(sample, start, 4, ScanOptions(threads=1))
    shuffled = sample[np.random.default_rng(5).permutation(2000)]
    for options in (ScanOptions(threads=3), ScanOptions(threads=2, memory_limit=2 << 20, k=7)):
        np.testing.assert_array_equal(train(shuffled, start, 4, options).centroids, whole.centroids)
    plain = train(sample, start, 4, ScanOptions(bfloat16=False, device="cpu"))
    np.testing.assert_array_equal(plain.centroids, whole.centroids)


@pytest.mark.parametrize("width", [1, 8, 33])
def test_sums_are_taken_in_pieces_without_rounding(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, owners = clustered(1, 3000, width), np.random.default_rng(1).integers(0, 9, 3000).astype(np.int32)
    owners[owners == 4] = 5
    whole = sums.sums_by_owner(rows, owners, 10)
    wide = rows.astype(np.float64)
    for owner in range(10):
        exact = [sum(map(Fraction, column)) for column in wide[owners == owner].T.tolist()]
        assert [Fraction(value) for value in whole[owner]] == exact
    monkeypatch.setattr(sums, "_ROWS", 7)
    np.testing.assert_array_equal(sums.sums_by_owner(rows[::-1], owners[::-1], 10), whole)


@both_kinds
def test_an_empty_cluster_takes_half_of_the_largest(spherical: bool) -> None:
    """Two centroids lie where no sample is; two planted groups share one centroid, and end with one each."""
    random = np.random.default_rng(3)
    centres = np.eye(3, 16)
    truth = np.repeat([0, 1, 2], [300, 280, 20])
    sample = unit(centres[truth] + 0.02 * random.normal(size=(600, 16)))
    far = -np.ones((2, 16)) / 4
    first = np.concatenate([centres[:1] + centres[1:2], far, centres[2:]]).astype(np.float32)
    found = Assigner(train(sample, Training(first, spherical, 0, 0), 12)).assign(sample)
    owners = [set(found.cluster[truth == group].tolist()) for group in range(3)]
    assert not owners[0] & owners[1]
    assert owners[2] == {3}
    assert len(owners[0] | owners[1]) == 3, "no centroid is wasted"
    assert found.similarity.min() > 0.9


def test_the_largest_cluster_is_split_again_and_single_samples_are_not() -> None:
    means = np.repeat([[1.0], [2.0], *[[0.0]] * 7], 16, axis=1)
    kmeans._split(means, np.array([1, 8, 0, 0, 0, 0, 0, 0, 0]))
    np.testing.assert_allclose(means, np.repeat([[1], *[[2]] * 8], 16, axis=1), rtol=0.004)
    assert len(np.unique(means[1:].astype(np.float16), axis=0)) == 8, "all apart, also as float16"
    alone = np.array([[1.0, 1], [0, 0]])
    kmeans._split(alone, np.array([1, 0]))
    np.testing.assert_array_equal(alone, [[1, 1], [0, 0]])


def test_a_mean_without_direction_leaves_its_centroid_where_it_was() -> None:
    one = np.zeros((4, 8), np.float16)
    one[:2, 0], one[2:, 1] = [1, -1], [1, 1]
    start = Training(np.eye(8, dtype=np.float32)[[2, 1]], True, 0, 0)
    np.testing.assert_array_equal(train(one, start, 1).centroids, start.centroids)


@pytest.mark.parametrize("length", [1e-3, 1.0, 2.9, 4.9])
def test_euclidean_similarities_are_exact_for_vectors_of_any_length(length: float) -> None:
    """Similarities are recovered from rounded margins where that is certain, and computed again where it is not."""
    sample = (clustered(1, 400, 32).astype(np.float64) * length).astype(np.float16)
    sample = sample[np.linalg.norm(sample.astype(np.float64), axis=1) < 4.99]
    centroids = (clustered(2, 50, 32).astype(np.float64) * length).astype(np.float32)
    centroids *= np.linspace(0.1, 1, 50, dtype=np.float32)[:, None]
    assigner = Assigner(Training(centroids, False, 0, 0))
    found = assigner.assign(sample)
    products = sample.astype(np.float64) @ assigner.centroids.astype(np.float64).T
    np.testing.assert_array_equal(found.similarity, products[np.arange(len(sample)), found.cluster])


def test_an_empty_block_comes_first_and_changes_nothing() -> None:
    sample = clustered(1, 60, 32)
    assigner = nearest_centroids.NearestCentroids(sample[:7], None, ScanOptions())
    assert len(assigner.find(sample[:0]).column) == 0
    products = sample.astype(np.float64) @ sample[:7].astype(np.float64).T
    np.testing.assert_array_equal(assigner.find(sample).column, products.argmax(axis=1))


def test_one_assigner_keeps_its_centroids_packed_between_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    laid = []
    lay = nearest_centroids.laid_columns
    monkeypatch.setattr(nearest_centroids, "laid_columns", lambda *given: laid.append(1) or lay(*given))
    sample = clustered(1, 90, 16)
    assigner = Assigner(begin(sample, 5), ScanOptions(k=10, threads=1))
    for block in np.split(sample, 9):
        assert assigner.assign(block).cluster.dtype == np.int32
    assert len(laid) == 1
    empty = assigner.assign(sample[:0])
    assert (empty.cluster.shape, empty.similarity.shape) == ((0,), (0,))
    with pytest.raises(ShapeError, match="width 16"):
        assigner.assign(sample[:, :8])


@both_kinds
def test_a_scan_as_on_a_card_gives_the_same_answers(spherical: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = clustered(1, 900, 24)
    training = train(sample, begin(sample, 60, spherical), 2)
    found = Assigner(training).assign(sample)
    opened = []
    monkeypatch.setattr(centroid_search, "works_on_card", lambda device: True)
    monkeypatch.setattr(
        centroid_search, "open_scanner", lambda *given: opened.append(given[2].k) or open_scanner(*given)
    )
    again = Assigner(training, ScanOptions(k=10, device="cpu")).assign(sample)
    assert opened == [1], "no list of neighbours is kept"
    np.testing.assert_array_equal(again.cluster, found.cluster)
    np.testing.assert_array_equal(again.similarity, found.similarity)


@both_kinds
def test_guesses_change_no_answer(spherical: bool) -> None:
    sample = clustered(1, 900, 24)
    training = train(sample, begin(sample, 60, spherical), 2)
    assigner, found = Assigner(training), Assigner(training).assign(sample)
    for guess in (found.cluster, np.random.default_rng(1).integers(0, 60, 900).astype(np.int32)):
        again = assigner.assign(sample, guess)
        np.testing.assert_array_equal(again.cluster, found.cluster)
        np.testing.assert_array_equal(again.similarity, found.similarity)


def test_a_stream_that_begins_with_one_row_and_goes_on_elsewhere_is_assigned_alike() -> None:
    """What samples are rounded to is taken from the first block, and changes no answer."""
    sample = np.concatenate([np.repeat(unit(np.eye(1, 24)), 3, axis=0), clustered(1, 900, 24)])
    training = train(sample, begin(sample, 60), 2)
    whole, parts = Assigner(training).assign(sample), Assigner(training)
    cut = [parts.assign(block).similarity for block in np.split(sample, [1, 4])]
    np.testing.assert_array_equal(np.concatenate(cut), whole.similarity)


def test_assigners_that_work_in_turns_keep_apart() -> None:
    """A thread uses arrays again; what an assigner holds is not among them."""
    sample = clustered(1, 400, 24)
    trained = [train(sample, begin(sample, count, seed=count), 2) for count in (60, 50)]
    alone = [Assigner(training).assign(sample).cluster for training in trained]
    both = [Assigner(training, ScanOptions(threads=1)) for training in trained]
    for block in (slice(0, 200), slice(200, 400)):
        for assigner, right in zip(both, alone, strict=True):
            np.testing.assert_array_equal(assigner.assign(sample[block]).cluster, right[block])
            nearest_earlier(sample, uids_of(1, 400), np.arange(400), ScanOptions(threads=1))


def test_a_memory_limit_below_one_block_is_refused() -> None:
    start = begin(clustered(1, 90, 16), 50)
    with pytest.raises(BadInputError, match="50 centroids of width 16 need"):
        Assigner(start, ScanOptions(threads=1, memory_limit=20_000))
    sample = clustered(1, 90, 16)
    found, few = Assigner(start).assign(sample), ScanOptions(threads=2, memory_limit=50_000)
    np.testing.assert_array_equal(Assigner(start, few).assign(sample).cluster, found.cluster)
