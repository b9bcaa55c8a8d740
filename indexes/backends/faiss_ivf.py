"""Approximate search by FAISS inverted lists over the queries; a plan must name it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.backends._faiss_search import FaissScanner
from indexes.queries import Queries
from indexes.scanner import ScanOptions

EXACT = False
PROBED = 4
"""One list in so many is searched."""


def inverted_lists(vectors: NDArray[np.float32]) -> Any:
    """Index vectors in about sqrt(n) lists, trained on themselves with FAISS's fixed seed."""
    import faiss

    rows = np.ascontiguousarray(vectors)
    lists = max(1, int(np.sqrt(len(rows)) / 2))
    coarse = faiss.IndexFlatIP(rows.shape[1])
    index = faiss.IndexIVFFlat(coarse, rows.shape[1], lists, faiss.METRIC_INNER_PRODUCT)
    index.cp.min_points_per_centroid = 1
    index.nprobe = -(-lists // PROBED)
    index.train(rows)
    index.add(rows)
    return index


def open_scanner(queries: Queries, options: ScanOptions) -> FaissScanner:
    """Open the scanner over inverted lists."""
    return FaissScanner(queries, options, inverted_lists)
