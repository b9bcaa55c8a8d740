"""Approximate search by a FAISS neighbourhood graph over the queries; a plan must name it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.backends._faiss_search import FaissScanner, threads
from indexes.queries import Queries
from indexes.scanner import ScanOptions

EXACT = False
LINKS, BUILD_WIDTH, SEARCH_WIDTH = 32, 80, 64


def graph(vectors: NDArray[np.float32]) -> Any:
    """Index vectors in a graph; built by one thread, since several would give a different graph each time."""
    import faiss

    index = faiss.IndexHNSWFlat(vectors.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction, index.hnsw.efSearch = BUILD_WIDTH, SEARCH_WIDTH
    with threads(1):
        index.add(np.ascontiguousarray(vectors))
    return index


def open_scanner(queries: Queries, options: ScanOptions) -> FaissScanner:
    """Open the scanner over graphs."""
    return FaissScanner(queries, options, graph)
