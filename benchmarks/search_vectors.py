"""What the search benchmarks share: the vectors that they search, a stopwatch, and where the numbers come from."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.queries import Queries
from indexes.search import ScanOptions, open_scanner

BENCHMARKS = 6
CLUSTERS = 1000


def embeddings(seed: int, rows: int, width: int) -> NDArray[np.float16]:
    """Clustered unit vectors, whose top similarities tie closely as those of real pools do."""
    centres = np.random.default_rng(7).standard_normal((CLUSTERS, width), np.float32)
    random = np.random.default_rng(seed)
    out = np.empty((rows, width), np.float16)
    for start in range(0, rows, 20_000):
        size = min(20_000, rows - start)
        some = centres[random.integers(CLUSTERS, size=size)]
        some = some + 0.7 * random.standard_normal((size, width), np.float32)
        out[start : start + size] = some / np.linalg.norm(some, axis=1, keepdims=True)
    return out


def benchmark_queries(count: int, width: int) -> Queries:
    """Queries of six benchmarks, with thresholds from a reference of 20,000 rows."""
    vectors = embeddings(2, count, width)
    starts = np.linspace(0, count, BENCHMARKS + 1).astype(np.int64)
    names = tuple(f"benchmark_{number}" for number in range(BENCHMARKS))
    reference = open_scanner(
        Queries(vectors, names, starts, None), scan_options=ScanOptions(k=1, memory_limit=4 << 30)
    )
    reference.scan(embeddings(3, 20_000, width))
    return Queries(vectors, names, starts, reference.neighbours().similarity[:, 0])


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def machine() -> dict[str, Any]:
    """Where the numbers come from."""
    cpus = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.partition(":")[2].strip() for line in cpus if line.startswith("model name")]
    names = {"torch", "faiss-cpu", "faiss-gpu", "numba", "numpy", "triton"}
    installed = {found.name: found.version for found in distributions() if found.name in names}
    return {
        "processor": models[0] if models else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "versions": dict(sorted(installed.items())),
        "gpu": "none on this machine; GPU rows were not run",
    }
