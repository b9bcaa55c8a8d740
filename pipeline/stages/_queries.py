"""The benchmarks' queries, packed one benchmark after the other, as every pass over vectors uses them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from indexes.queries import Queries
from indexes.search import Scanner, ScanOptions, open_scanner
from indexes.storage import load_index
from pipeline.parquet import read_parquet
from pipeline.work import Json, RunContext, Work, output_digests


def query_settings(run: RunContext) -> Json:
    """Say where the packed queries are, for a unit's settings."""
    return {"benchmarks": list(run.plan.benchmarks), "indexes": run.path("indexes")}


def query_identity(run: RunContext, *, thresholds: bool) -> Json:
    """Say which queries they are, for a unit's identity."""
    identity: Json = {
        name: output_digests(run.records("index", name), f"indexes/{name}/index.faiss")
        for name in run.plan.benchmarks
    }
    if thresholds:
        identity["thresholds"] = output_digests(run.records("thresholds"))
    return identity


def packed_queries(work: Work, *, thresholds: bool) -> Queries:
    """Load the packed queries, with their thresholds where the plan has a reference."""
    digest = repr(sorted(work.identity["queries"].items()))
    settings = work.settings
    return _packed(settings["indexes"], tuple(settings["benchmarks"]), thresholds, digest)


@lru_cache(maxsize=2)
def _packed(folder: str, names: tuple[str, ...], thresholds: bool, digest: str) -> Queries:
    """Load once per process; `digest` is part of the key so that replaced files are read anew."""
    vectors = [load_index(Path(folder) / name / "index.faiss") for name in names]
    starts = np.cumsum([0, *(len(block) for block in vectors)], dtype=np.int64)
    return Queries(np.concatenate(vectors), names, starts, _thresholds(folder, names) if thresholds else None)


def _thresholds(folder: str, names: tuple[str, ...]) -> np.ndarray | None:
    columns = [
        read_parquet(Path(folder) / name / "queries.parquet", columns=["threshold"]).column("threshold")
        for name in names
    ]
    if any(column.null_count for column in columns):
        return None
    return np.concatenate([column.to_numpy() for column in columns]).astype(np.float64)


def scanner(work: Work, queries: Queries, k: int) -> Scanner:
    """Open the plan's search backend on the packed queries."""
    settings = work.settings
    options = ScanOptions(
        k=k, device=settings["device"], threads=settings["threads"], memory_limit=settings["engine_memory"]
    )
    return open_scanner(queries, settings["backend"], options)
