"""Approximate search by FAISS inverted lists over the queries; a plan must name it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.backend_options import check_range
from indexes.backends._faiss_search import FaissScanner, check_device
from indexes.errors import BadInputError
from indexes.faiss_library import load_faiss
from indexes.queries import Queries
from indexes.scanner import ScanOptions

__all__ = ["EXACT", "Options", "check_device", "open_scanner"]

EXACT = False
_ROUNDED = 1e-9
"""A share such as 0.07 of 100 lists comes out as a little more than 7 in floating point."""


@dataclass(frozen=True, slots=True)
class Options:
    """How many lists, and how many of them are searched: more is slower and misses less.

    Attributes:
        lists: Lists per benchmark, at most its queries; None makes about sqrt(queries) / 2.
        probed: Share of a benchmark's lists that is searched for each sample, above 0 and at most 1. A share, since
            benchmarks of different sizes have different numbers of lists.

    Raises:
        BadInputError: If a value is outside its range.
    """

    lists: int | None = None
    probed: float = 0.25

    def __post_init__(self) -> None:
        """Refuse what FAISS could not build."""
        check_range("lists", self.lists, 1)
        if not 0 < self.probed <= 1:
            raise BadInputError(
                f"option 'probed' is {self.probed:g}; it is a share of the lists, above 0 and at most 1"
            )


def inverted_lists(vectors: NDArray[np.float32], options: Options) -> Any:
    """Index `(n, d)` vectors in lists, trained on themselves with FAISS's fixed seed."""
    faiss = load_faiss()
    rows = np.ascontiguousarray(vectors)
    lists = min(options.lists or max(1, int(np.sqrt(len(rows)) / 2)), len(rows))
    coarse = faiss.IndexFlatIP(rows.shape[1])
    index = faiss.IndexIVFFlat(coarse, rows.shape[1], lists, faiss.METRIC_INNER_PRODUCT)
    index.cp.min_points_per_centroid = 1
    index.nprobe = max(1, int(np.ceil(lists * options.probed - _ROUNDED)))
    index.train(rows)
    index.add(rows)
    return index


def open_scanner(queries: Queries, scan_options: ScanOptions, options: Options) -> FaissScanner:
    """Open the scanner over inverted lists."""
    return FaissScanner(queries, scan_options, partial(inverted_lists, options=options))
