"""The two nearest centroids against float64 brute force."""

from __future__ import annotations

import numpy as np
import pytest
from vector_worlds import clustered

from indexes.clustering.two_nearest import TwoNearest
from indexes.errors import BadInputError
from indexes.scanner import ScanOptions

OPTIONS = ScanOptions(k=1, device="cpu", threads=2)


@pytest.mark.parametrize("count", [2, 3, 4, 7, 50])
@pytest.mark.parametrize("euclidean", [False, True])
def test_both_are_those_of_brute_force_whatever_the_blocks(count: int, euclidean: bool) -> None:
    centroids, samples = clustered(1, count, 16), clustered(2, 90, 16)
    centroids[-1] = centroids[0]  # ties
    samples[5] = centroids[0]
    wide = centroids.astype(np.float64)
    levels = (wide**2).sum(axis=1) / 2 if euclidean else None
    values = samples.astype(np.float64) @ wide.T - (0 if levels is None else levels)
    order = np.argsort(-values, axis=1, kind="stable")
    finder = TwoNearest(centroids, levels, OPTIONS)
    first, second = finder.find(samples)
    assert first.tolist() == order[:, 0].tolist()
    assert second.tolist() == order[:, 1].tolist()
    cut = [finder.find(samples[rows]) for rows in np.split(np.arange(90), [1, 40])]
    assert np.concatenate([two for _, two in cut]).tolist() == second.tolist()


def test_one_centroid_has_no_second() -> None:
    with pytest.raises(BadInputError, match="take at least 2"):
        TwoNearest(clustered(1, 1, 16), None, OPTIONS)
