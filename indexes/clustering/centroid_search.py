"""The search for each sample's best centroid: on a GPU a scan of the engine, else rows of whole numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from indexes.device.choice import works_on_card
from indexes.queries import Queries
from indexes.scanner import ScanOptions
from indexes.search import open_scanner

Best: TypeAlias = tuple[NDArray[np.int32], NDArray[np.float64]]
"""Each sample's best centroid and its score."""
Search: TypeAlias = Callable[[NDArray[np.float16], NDArray[np.int32] | None], Best]


def centroid_search(
    centroids: NDArray[np.float16], levels: NDArray[np.float64] | None, options: ScanOptions
) -> Search:
    """Open the search for the best of `(k, d)` centroids, ties to the lower one.

    Args:
        centroids: The centroids.
        levels: `(k,)` what is taken off the products before they are compared, or None.
        options: Device, threads and memory; they change no result.

    Returns:
        A function of `(n, d)` float16 samples and of `(n,)` centroids that are likely to be near, or None.

    Raises:
        DataError: If a centroid is not finite.
        BadInputError: If the memory limit is too small for the centroids and one block.
    """
    queries = Queries(centroids, ("centroids",), np.array([0, len(centroids)], np.int64), levels)
    if works_on_card(options.device):
        scanner = open_scanner(queries, "exact", replace(options, k=1))

        def scan(samples: NDArray[np.float16], guess: NDArray[np.int32] | None) -> Best:
            scores = scanner.scan(samples)
            if scores.margin is None or scores.margin_query is None:
                return scores.nearest[:, 0], scores.similarity[:, 0]
            return scores.margin_query[:, 0], scores.margin[:, 0]

        return scan
    # Here, since numba takes half a second to load, and a plan's check needs none of it.
    from indexes.clustering.nearest_centroids import NearestCentroids

    nearest = NearestCentroids(centroids, levels, options)

    def find(samples: NDArray[np.float16], guess: NDArray[np.int32] | None) -> Best:
        found = nearest.find(samples, guess)
        return found.column, found.score

    return find
