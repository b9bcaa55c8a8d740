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
MEAN = 0.72
"""Length of the mean of unit vectors whose median similarity is 0.52."""


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


def spectral(seed: int, rows: int, width: int) -> NDArray[np.float16]:
    """Unit vectors with a mean and a spectrum like those of real embeddings; which directions, is drawn.

    Of the spread of 1,000 photographs' CLIP ViT-B/32 embeddings, 57, 71, 85 and 96 % lie in their first 32, 64, 128 and
    256 principal directions, and their median similarity is 0.52; here it is 57, 71, 84 and 94 % and 0.53.
    """
    drawn = np.random.default_rng(11)
    spread = (np.arange(width) + 5.0) ** -1.2
    spread *= (1 - MEAN**2) / spread.sum()
    directions = np.linalg.qr(drawn.standard_normal((width, width)))[0]
    basis = (np.sqrt(spread)[:, None] * directions.T).astype(np.float32)
    mean = drawn.standard_normal(width, np.float32)
    mean *= MEAN / np.linalg.norm(mean)
    random, out = np.random.default_rng(seed), np.empty((rows, width), np.float16)
    for start in range(0, rows, 20_000):
        some = random.standard_normal((min(20_000, rows - start), width), np.float32) @ basis + mean
        out[start : start + len(some)] = some / np.linalg.norm(some, axis=1, keepdims=True)
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


def spent(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds of one call."""
    before = time.process_time()
    wall = seconds(work)
    return wall, time.process_time() - before


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
