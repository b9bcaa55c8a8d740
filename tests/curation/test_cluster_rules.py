"""Density-based pruning and DataComp's image-based filter against published values and plain float64."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from curation import measures, rules
from curation.kernels.cluster_density import ExactSums, allotted, distances_between, shares
from curation.kernels.even_shares import best_cut, child_targets, leaf_targets
from curation.measure import Block
from curation.rule import Scope
from indexes.clustering import kmeans
from indexes.errors import PlanError


@pytest.fixture(scope="module")
def vectors() -> Path:
    root = os.environ.get("NEARFAR_REAL_DATA")
    if root is None:
        pytest.skip("NEARFAR_REAL_DATA is not set: what the published code gives is there")
    return Path(root) / "peer_vectors"


def arrays(path: Path) -> dict[str, NDArray[Any]]:
    with np.load(path) as held:
        return {name: held[name] for name in held.files}


def test_sums_are_the_same_in_any_order() -> None:
    rng = np.random.default_rng(0)
    values = np.rint(rng.uniform(-1, 1, 5000) * 2.0**48) / 2.0**48
    cluster = rng.integers(0, 3, 5000).astype(np.int32)
    totals = set()
    for order in (np.arange(5000), rng.permutation(5000)):
        sums = ExactSums(3)
        for rows in np.array_split(order, 1 + len(totals) * 6):
            sums.add(cluster[rows], values[rows])
        totals.add(tuple(sums.coarse + sums.fine))
    exact = [sum(int(v * 2.0**48) for v in values[cluster == c]) / 2**48 for c in range(3)]
    assert totals == {tuple(exact)}


def test_a_small_allotment_by_hand() -> None:
    sizes = np.array([10, 10, 2])
    # Shares of 6, 3 and 3; the last has 2, and what is over goes evenly to the others.
    assert allotted(sizes, np.array([0.5, 0.25, 0.25]), 12, 0.5).tolist() == [7, 3, 2]
    assert allotted(sizes, np.array([1.0, 0.0, 0.0]), 10, 0.6).tolist() == [7, 2, 1]
    assert allotted(sizes, np.array([1.0, 0.0, 0.0]), 22, 0.5).tolist() == [10, 10, 2]
    assert allotted(sizes, np.array([1.0, 0.0, 0.0]), 1, 0.0).sum() == 1
    assert shares(np.array([1.0, 2.0]), np.array([2.0, 1.0]), 0.1).tolist() == [0.5, 0.5]
    assert distances_between(np.eye(3, dtype=np.float16)).tolist() == [1.0, 1.0, 1.0]
    assert distances_between(np.ones((1, 2), np.float16)).tolist() == [0.0]


def test_every_allotment_is_the_minimum_among_its_neighbours() -> None:
    """Moving one sample from any cluster to another, within the bounds, never lowers the objective."""
    rng = np.random.default_rng(1)
    for _ in range(30):
        sizes, share = rng.integers(1, 40, 8), rng.dirichlet(np.ones(8) * 0.5)
        kept, balance = int(rng.integers(8, sizes.sum() + 1)), float(rng.choice([0.0, 0.5]))
        found = allotted(sizes, share, kept, balance)
        least = np.minimum(int(kept / 8 * balance) if balance else 1, sizes - 1)
        assert found.sum() == kept
        assert (found <= sizes).all()
        assert (found >= least).all()
        cost = found - kept * share
        for giver in np.flatnonzero(found > least):
            takers = np.flatnonzero((found < sizes) & (np.arange(8) != giver))
            assert (cost[takers] + 1 - cost[giver] >= -1e-6).all()


def test_the_published_densities(vectors: Path) -> None:
    held = arrays(vectors / "density_based_pruning.npz")
    found = distances_between(held["centroids"].astype(np.float16))
    np.testing.assert_allclose(found, held["d_inter"], atol=1e-3)
    share = shares(held["d_inter"].astype(float), held["d_intra"].astype(float), 0.1)
    np.testing.assert_allclose(share, held["probabilities_tau_0_1"], atol=1e-5)
    for name, kept in json.loads((vectors / "density_based_pruning.json").read_text()).items():
        wanted, balance = (float(word.partition("=")[2]) for word in name.split())
        ours = allotted(held["cluster_sizes"], share, int(wanted), balance)
        assert ours.sum() == int(wanted)
        assert np.abs(ours - np.array(kept)).max() <= 1, name


def test_the_published_clusters_of_training_images(vectors: Path) -> None:
    held = arrays(vectors / "datacomp_image_based.npz")
    pool, target = held["pool_embeddings"], held["target_embeddings"].astype(np.float16)
    options = {"k": 12, "spherical": False, "assign": "product", "target": "train"}
    # Theirs are up to 5.6 long, which no mean of unit vectors is; a quarter of each has the same largest product.
    model = {"centroids": held["centroids"] / 4, "apart": np.zeros(12)}
    measure = measures.parse("clusters", options)
    running = measure.start(model | dict(measure.summary(target, model)), {})
    found = running.apply(Block(np.zeros((80, 2), np.uint64), {"image": pool}))
    np.testing.assert_array_equal(found["cluster"], held["centroid_of_pool_row"])
    taken = np.unique(np.asarray(found["cluster"])[np.asarray(found["target"]) > 0])
    assert set(taken.tolist()) <= set(held["target_centroids"].tolist())
    kept = np.asarray(found["target"]) > 0
    assert set(held["kept_rows"].tolist()) <= set(np.flatnonzero(kept).tolist())
    words = np.array([len(text.split()) > 1 and len(text) > 5 for text in held["captions"].tolist()])
    assert np.flatnonzero(kept & words).tolist() == sorted(held["kept_rows"].tolist())


def test_the_largest_product_is_not_the_nearest() -> None:
    centroids = np.array([[1.0, 0.0], [2.0, 2.0]], np.float32)
    training = kmeans.Training(centroids, spherical=False, seed=0, iterations=1)
    sample = np.array([[1.0, 0.0]], np.float16)
    assert kmeans.Assigner(training).assign(sample).cluster.tolist() == [0]
    by_product = kmeans.Assigner(training, by_product=True).assign(sample)
    assert (by_product.cluster.tolist(), by_product.similarity.tolist()) == ([1], [2.0])


def test_clusters_without_a_target_are_refused() -> None:
    known = {"clusters": pa.struct([("cluster", pa.int32()), ("similarity", pa.float64())])}
    with pytest.raises(PlanError, match=r"Name a benchmark under measures\.clusters\.target"):
        rules.parse("image-based", {}).resolved(Scope(columns=known))


def test_even_shares_by_hand() -> None:
    assert best_cut([5, 3, 8], 12) == 4
    assert best_cut([], 3) == 0
    # 3 + 3 + 3 of 11; the two larger ones give one more, by turn.
    assert child_targets([5, 3, 8], 10, [2, 0, 1]) == [3, 3, 4]
    assert child_targets([5, 3, 8], 11, [1, 2, 0]) == [4, 3, 4]
    assert child_targets([5, 3, 8], 99, [0, 1, 2]) == [5, 3, 8]
    # 6 of a and 2 of b: in a, x has but one.
    tree = {("a", "x"): 1, ("a", "y"): 9, ("b", "x"): 2}
    assert leaf_targets(tree, 8, 0) == {("a", "x"): 1, ("a", "y"): 5, ("b", "x"): 2}
    assert leaf_targets(dict(reversed(tree.items())), 5, 7) == leaf_targets(tree, 5, 7)
    assert leaf_targets({}, 5, 0) == {}


def test_the_published_hierarchy(vectors: Path) -> None:
    held = json.loads((vectors / "hierarchical_sampling.json").read_text())
    for sizes, target, cut in held["find_best_cut_left"]:
        assert best_cut(sizes, target) == cut
    for sizes, target, repeats, given in held["find_subcluster_target_size(seed 0)"]:
        larger = np.argsort([-count for count in given], kind="stable").tolist()
        assert child_targets([size * repeats for size in sizes], target, larger) == given
    inner = {leaf: str(node) for node, leaves in enumerate(held["level2"]) for leaf in leaves}
    for name, rows in held["selected"].items():
        target, repeats = (int(word.partition("=")[2]) for word in name.split()[:2])
        times = np.bincount(rows, minlength=45)
        theirs = {(inner[n], str(n)): int(times[leaf].sum()) for n, leaf in enumerate(held["level1"])}
        sizes = {(inner[n], str(n)): repeats * len(leaf) for n, leaf in enumerate(held["level1"])}
        ours = leaf_targets(sizes, target, 0)
        assert sum(ours.values()) == sum(theirs.values()) == target
        # Who gives one more is drawn, at each of two levels.
        assert max(abs(ours[path] - theirs[path]) for path in sizes) <= 2, name
        for node in {path[0] for path in sizes}:
            inside = {path: size for path, size in sizes.items() if path[0] == node}
            given = sum(theirs[path] for path in inside)
            again = leaf_targets(inside, given, 0)
            assert sorted(again.values()) == sorted(theirs[path] for path in inside)


def test_clusters_are_balanced_by_number_or_share() -> None:
    def of(**options: Any) -> Any:
        return rules.parse("cluster-balance", options).selection(Scope())

    by = '"clusters"."cluster"'
    assert (of(per_cluster=3).by, of(per_cluster=3).most) == (by, 3)
    near = of(per_cluster=3, first="closest")
    assert near.highest
    assert "similarity" in near.key
    assert not of(per_cluster=3, first="farthest").highest
    shared = of(keep=30, measure="mine")
    assert (shared.by, shared.amount.keep, shared.key) == (('"mine"."cluster"',), 30, None)
    assert "similarity" in of(fraction=0.5, first="closest").key
    with pytest.raises(PlanError, match="give one of: per_cluster, keep, fraction"):
        rules.parse("cluster-balance", {})
    with pytest.raises(PlanError, match="first: farthest goes with per_cluster"):
        rules.parse("cluster-balance", {"keep": 3, "first": "farthest"})
