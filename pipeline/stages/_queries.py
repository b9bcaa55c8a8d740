"""The benchmarks' queries, packed one benchmark after the other, as every pass over vectors uses them.

What was committed is what is used: an index of another encoder, benchmark or version is refused, and so is any file
whose bytes are not those that its record names.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import numpy as np

from indexes.errors import OutputError
from indexes.queries import Queries
from indexes.search import Scanner, ScanOptions, exact_backend, open_scanner
from pipeline.execution.work import Json, RunContext, Work, output_digests
from pipeline.files.digests import sha256_of
from pipeline.files.index_file import Description, check_description, load_index
from pipeline.files.parquet import read_parquet
from pipeline.stages.catalog import encoder_of


def query_settings(run: RunContext) -> Json:
    """Say where the packed queries are and what is expected there, for a unit's settings."""
    expected = {name: _expected(run, name) for name in run.plan.benchmarks}
    return {"benchmarks": list(run.plan.benchmarks), "indexes": run.path("indexes"), "expected": expected}


def _expected(run: RunContext, name: str) -> Json:
    facts = run.done["index"][name].facts
    described = Description(name, facts["queries"], facts["width"], encoder_of(run, name))
    records = [run.done[stage][name] for stage in ("index", "thresholds") if name in run.done.get(stage, {})]
    digests = {Path(output.path).name: output.sha256 for record in records for output in record.outputs}
    return {"described": asdict(described), "digests": digests}


def exactly(run: RunContext) -> str:
    """Name the backend for passes that are exact in every plan: thresholds, and looking again after a split.

    A plan may name an approximate backend for its measuring pass. Every decision hangs on the thresholds, and that
    backend may find no reference sample at all for some query, so the exact engine gives them.
    """
    return exact_backend(run.plan.engine.backend)


def query_identity(run: RunContext, *, thresholds: bool) -> Json:
    """Say which queries they are, for a unit's identity."""
    identity: Json = {
        name: output_digests(run.records("index", name), f"indexes/{name}/index.faiss")
        for name in run.plan.benchmarks
    }
    if thresholds:
        # A benchmark may be called `thresholds`.
        key = "thresholds" if "thresholds" not in identity else "their thresholds"
        identity[key] = output_digests(run.records("thresholds"))
    return identity


def packed_queries(work: Work, *, thresholds: bool) -> Queries:
    """Load the packed queries, with their thresholds where the plan has a reference.

    Raises:
        DataError: If an index is another encoder's, benchmark's or version's, or damaged.
        OutputError: If a file is not the one that was committed.
    """
    settings = work.settings
    expected = json.dumps([settings["expected"][name] for name in settings["benchmarks"]])
    return _packed(settings["indexes"], tuple(settings["benchmarks"]), thresholds, expected)


@lru_cache(maxsize=2)
def _packed(folder: str, names: tuple[str, ...], thresholds: bool, expected: str) -> Queries:
    """Load once per process; `expected` has the files' digests, so that replaced files are read anew."""
    places = [(Path(folder) / name, wanted) for name, wanted in zip(names, json.loads(expected), strict=True)]
    vectors = [_vectors(place, wanted) for place, wanted in places]
    starts = np.cumsum([0, *(len(block) for block in vectors)], dtype=np.int64)
    levels = [_thresholds(place, wanted) for place, wanted in places] if thresholds else [None]
    known = [level for level in levels if level is not None]
    packed = np.concatenate(known) if len(known) == len(levels) else None
    return Queries(np.concatenate(vectors), names, starts, packed)


def _vectors(folder: Path, expected: Json) -> np.ndarray:
    described = Description(**expected["described"])
    check_description(folder / "index.json", described)
    _check_committed(folder / "index.faiss", expected)
    return load_index(folder / "index.faiss", described)


def _thresholds(folder: Path, expected: Json) -> np.ndarray | None:
    _check_committed(folder / "queries.parquet", expected)
    column = read_parquet(folder / "queries.parquet", columns=["threshold"]).column("threshold")
    return None if column.null_count else column.to_numpy().astype(np.float64)


def _check_committed(path: Path, expected: Json) -> None:
    """Refuse a file that changed since it was committed, such as another run's copied over it."""
    try:
        got = sha256_of(path) if path.is_file() else "no file"
    except OSError as error:
        raise OutputError(
            f"{path} was committed but cannot be read: {error.strerror}; make it readable and run again"
        ) from error
    wanted = expected["digests"][path.name]
    if got != wanted:
        raise OutputError(
            f"{path} is not what this run committed (sha256 {got[:16]}, expected {wanted[:16]}): it was changed, or "
            f"comes from another run. Remove {path.parent} and run again: it is built anew"
        )


def scanner(work: Work, queries: Queries, k: int) -> Scanner:
    """Open the unit's search backend on the packed queries."""
    return open_scanner(queries, work.settings["backend"], scan_options(work, k))


def scan_options(work: Work, k: int) -> ScanOptions:
    """Give the options of a unit's search."""
    settings = work.settings
    return ScanOptions(
        k=k, device=settings["device"], threads=settings["threads"], memory_limit=settings["engine_memory"]
    )
