"""Approximate search by a FAISS neighbourhood graph over the queries; a plan must name it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.backend_options import check_range
from indexes.backends._faiss_search import FaissScanner, threads
from indexes.device.choice import check_device_name
from indexes.errors import BadInputError
from indexes.faiss_library import load_faiss
from indexes.queries import Queries
from indexes.scanner import ScanOptions

EXACT = False
MOST_WIDTH = 1_000_000


@dataclass(frozen=True, slots=True)
class Options:
    """How dense the graph is and how far a search looks around in it: more is slower and misses less.

    Attributes:
        links: Neighbours that each query keeps in the graph (FAISS's M), 2 to 512.
        build_width: Candidates looked at when a query is added (efConstruction), 1 to `MOST_WIDTH`.
        search_width: Candidates looked at in a search (efSearch), 1 to `MOST_WIDTH`.

    Raises:
        BadInputError: If a value is outside its range.
    """

    links: int = 32
    build_width: int = 80
    search_width: int = 64

    def __post_init__(self) -> None:
        """Refuse what FAISS could not build."""
        check_range("links", self.links, 2, 512)
        check_range("build_width", self.build_width, 1, MOST_WIDTH)
        check_range("search_width", self.search_width, 1, MOST_WIDTH)


def check_device(name: str) -> None:
    """Check that a graph can be searched on a device, before any work.

    Args:
        name: `auto`, `cpu`, `cuda` or `cuda:<number>`.

    Raises:
        BadInputError: If a GPU is named: FAISS searches such graphs on the CPU alone.
    """
    check_device_name(name)
    if name.startswith("cuda"):
        raise BadInputError(
            f"device '{name}' is not for index backend 'faiss-hnsw': FAISS has its graph on the CPU alone. "
            "Use device cpu, or backend exact or faiss-ivf"
        )


def graph(vectors: NDArray[np.float32], options: Options) -> Any:
    """Index `(n, d)` vectors in a graph; built by one thread, as several would give another graph each time."""
    faiss = load_faiss()
    index = faiss.IndexHNSWFlat(vectors.shape[1], options.links, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction, index.hnsw.efSearch = options.build_width, options.search_width
    with threads(1):
        index.add(np.ascontiguousarray(vectors))
    return index


def open_scanner(queries: Queries, scan_options: ScanOptions, options: Options) -> FaissScanner:
    """Open the scanner over graphs."""
    return FaissScanner(queries, scan_options, partial(graph, options=options))
