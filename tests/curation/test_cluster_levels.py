"""Clusters of clusters: a sample's level is that of its cluster, and a cluster's that of its centroid."""

from __future__ import annotations

import numpy as np
import pytest

from curation import measures
from curation.measure import Block
from indexes.canonical import canonical
from indexes.clustering import kmeans
from indexes.errors import PlanError
from indexes.scanner import ScanOptions


def block(rows: int = 400, width: int = 8) -> Block:
    """Samples in 12 tight groups, which lie in 4 wide ones."""
    rng = np.random.default_rng(0)
    wide = 3 * rng.standard_normal((4, width))
    tight = np.repeat(wide, 3, axis=0) + 0.7 * rng.standard_normal((12, width))
    drawn = tight[rng.integers(0, 12, rows)] + 0.1 * rng.standard_normal((rows, width))
    uids = np.stack([np.zeros(rows), np.arange(rows)], axis=1).astype(np.uint64)
    return Block(uids, {"image": canonical(drawn.astype(np.float32)).vectors})


@pytest.mark.parametrize("spherical", [True, False])
def test_levels_are_k_means_of_the_centroids_below(spherical: bool) -> None:
    measure = measures.parse("clusters", {"k": 12, "levels": [4, 2], "spherical": spherical, "seed": 1})
    model = measure.train(block())
    found = measure.start(model, {}).apply(block())
    assert list(found)[-2:] == ["level_2", "level_3"]
    assert [column.name for column in measure.columns()][-2:] == ["level_2", "level_3"]
    below = kmeans.Assigner(kmeans.Training(model["centroids"], spherical, 1, 20)).centroids
    of = found["cluster"]
    for name, count in (("level_2", 4), ("level_3", 2)):
        trained = kmeans.train(below, kmeans.begin(below, count, spherical, 1), 20)
        assigner = kmeans.Assigner(trained, ScanOptions(k=1))
        of, below = assigner.assign(below).cluster[of], assigner.centroids
        np.testing.assert_array_equal(found[name], of)
        assert 1 < len(set(of.tolist())) <= count


def test_levels_change_nothing_else() -> None:
    plain, levelled = (measures.parse("clusters", {"k": 6} | more) for more in ({}, {"levels": [2]}))
    one, other = (each.start(each.train(block()), {}).apply(block()) for each in (plain, levelled))
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])
    assert "levels" not in measures.dump(plain)


@pytest.mark.parametrize("levels", [[6], [3, 3], [2, 3]])
def test_levels_that_do_not_become_fewer_are_refused(levels: list[int]) -> None:
    with pytest.raises(PlanError, match="give numbers that become fewer, the first below k"):
        measures.parse("clusters", {"k": 6, "levels": levels})
