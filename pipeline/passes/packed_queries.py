"""The queries of benchmarks, packed one benchmark after the other, as a pass over vectors uses them.

What was committed is what is used: an index of another encoder, benchmark or version is refused, and so is any file
whose bytes are not those that its record names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from indexes.errors import OutputError
from indexes.queries import Queries
from indexes.search import Scanner, ScanOptions, exact_backend, open_scanner
from pipeline import layout
from pipeline.execution.context import RunContext, digests
from pipeline.execution.work import Place
from pipeline.files.digests import sha256_of
from pipeline.files.index_file import Description, check_description, load_index
from pipeline.files.parquet import read_parquet


@dataclass(frozen=True, slots=True)
class QueryFiles:
    """A benchmark's committed queries.

    Attributes:
        name: The benchmark.
        folder: Absolute path of its index folder.
        described: What its `index.json` must say, as JSON text (`Description.dumps`).
        index: sha256 of `index.faiss`.
        queries: sha256 of `queries.parquet`, which has the thresholds; empty where they are not needed.
    """

    name: str
    folder: str
    described: str
    index: str
    queries: str = ""


def query_files(run: RunContext, name: str, *, thresholds: bool) -> QueryFiles:
    """Name a benchmark's committed queries."""
    record = run.record("index", name)
    described = Description(name, record.facts["queries"], record.facts["width"], record.facts["encoder"])
    levels = (
        digests([run.record("thresholds", name)], layout.index(name, "queries.parquet"))
        if thresholds
        else [""]
    )
    return QueryFiles(
        name,
        run.path(layout.index(name)),
        described.dumps(),
        digests([record], layout.index(name, "index.faiss"))[0],
        levels[0],
    )


def query_paths(files: QueryFiles) -> list[str]:
    """List the committed files that they are loaded from."""
    names = ["index.json", "index.faiss", *(["queries.parquet"] if files.queries else [])]
    return [f"{files.folder}/{name}" for name in names]


def query_identity(files: QueryFiles) -> tuple[str, ...]:
    """Say which queries they are, for a unit's identity."""
    return (files.index, files.queries)


def exactly(run: RunContext) -> str:
    """Name the backend for passes that are exact in every plan: thresholds, and looking again after a split.

    A plan may name an approximate backend for its measuring pass. Every decision hangs on the thresholds, and that
    backend may find no reference sample at all for some query, so the exact engine finds them.
    """
    return exact_backend(run.plan.engine.backend)


@lru_cache(maxsize=4)
def packed(benchmarks: tuple[QueryFiles, ...]) -> Queries:
    """Load queries once per process, with thresholds where every benchmark has them.

    Raises:
        DataError: If an index is another encoder's, benchmark's or version's, or damaged.
        OutputError: If a file is not the one that was committed.
    """
    vectors = [_vectors(files) for files in benchmarks]
    starts = np.cumsum([0, *(len(block) for block in vectors)], dtype=np.int64)
    levels = [_thresholds(files) if files.queries else None for files in benchmarks]
    known = [level for level in levels if level is not None]
    whole = np.concatenate(known) if len(known) == len(levels) else None
    return Queries(np.concatenate(vectors), tuple(files.name for files in benchmarks), starts, whole)


def whole_queries(files: QueryFiles) -> pa.Table:
    """Load a benchmark's queries as a table of one column, `vector`: lists of float16, one for each query."""
    vectors = packed((files,)).vectors
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    return pa.table({"vector": column})


def _vectors(files: QueryFiles) -> np.ndarray[Any, np.dtype[np.float16]]:
    folder = Path(files.folder)
    described = Description.loads(files.described)
    check_description(folder / "index.json", described)
    _check_committed(folder / "index.faiss", files.index)
    return load_index(folder / "index.faiss", described)


def _thresholds(files: QueryFiles) -> np.ndarray[Any, np.dtype[np.float64]] | None:
    path = Path(files.folder) / "queries.parquet"
    _check_committed(path, files.queries)
    column = read_parquet(path, columns=["threshold"]).column("threshold")
    return None if column.null_count else column.to_numpy().astype(np.float64)


def _check_committed(path: Path, wanted: str) -> None:
    """Refuse a file that changed since it was committed, such as another run's copied over it."""
    try:
        got = sha256_of(path) if path.is_file() else "no file"
    except OSError as error:
        raise OutputError(
            f"{path} was committed but cannot be read: {error.strerror}; make it readable and run again"
        ) from error
    if got != wanted:
        raise OutputError(
            f"{path} is not what this run committed (sha256 {got[:16]}, expected {wanted[:16]}): it was changed, or "
            f"comes from another run. Remove {path.parent} and run again: it is built again"
        )


def open_search(queries: Queries, place: Place, k: int, backend: str, options: Mapping[str, Any]) -> Scanner:
    """Open a search over packed queries on the device and with the memory of a unit."""
    return open_scanner(queries, backend, scan_options(place, k), options or None)


def scan_options(place: Place, k: int) -> ScanOptions:
    """Say what of the machine a unit's search may use."""
    return ScanOptions(k=k, device=place.device, threads=place.threads, memory_limit=place.engine_memory)


def segments(names: Sequence[str], queries: Queries) -> dict[str, tuple[int, int]]:
    """Find each benchmark's place among packed queries: first and behind last."""
    return {name: (int(queries.starts[i]), int(queries.starts[i + 1])) for i, name in enumerate(names)}
