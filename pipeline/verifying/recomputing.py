"""Scores and thresholds computed again by a plain float64 path that shares no search code with the run.

NumPy reads the vector files, and one matrix product in float64 gives the similarities, which are exact for unit float16
vectors (see `indexes.brute`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from indexes.canonical import canonical
from indexes.search import is_exact
from pipeline import layout
from pipeline.execution.context import RunContext
from pipeline.files.cursor import take_rows
from pipeline.files.parquet import read_parquet
from pipeline.measuring import encoder_name
from pipeline.passes.located import groups_of, parts_of, stored
from pipeline.sets.parts import Part, Stored

Float64 = NDArray[np.float64]


@dataclass(slots=True)
class Recomputed:
    """How much was computed again, and what came out otherwise, in words."""

    decisions: int = 0
    thresholds: int = 0
    problems: list[str] = field(default_factory=list)


def _located(run: RunContext, name: str, encoder: str) -> list[tuple[Part, Stored]]:
    shards = dict(groups_of(run, name))
    return [
        (part, stored(run, name, part.number, shards[part.number], encoder, "image"))
        for part in parts_of(run, name)
    ]


def _rows(part: Part) -> pa.Table:
    """Read uid, and where each vector is, of the rows that take part."""
    table = read_parquet(Path(part.samples), columns=["uid", "row"])
    table = table.append_column("place", pa.array(np.arange(len(table), dtype=np.int64)))
    return table.filter(pa.array(~np.isin(table.column("row").to_numpy(), np.asarray(part.skip, np.int64))))


def _places(rows: pa.Table, found: Stored) -> NDArray[np.int64]:
    places: NDArray[np.int64] = rows.column("row" if found.by_row else "place").to_numpy()
    return places


def _all_vectors(run: RunContext, name: str, encoder: str) -> Float64:
    """Gather a set's comparable vectors, in the order of its rows."""
    blocks = []
    for part, found in _located(run, name, encoder):
        blocks.append(canonical(take_rows(found.files, _places(_rows(part), found))).vectors)
    return np.concatenate(blocks).astype(np.float64)


def check_decisions(run: RunContext, rng: np.random.Generator, samples: int, result: Recomputed) -> None:
    """Score a sample of the pool again, against every query of every benchmark."""
    if not run.plan.benchmarks:
        return
    names = {name: encoder_name(run.plan, name) for name in run.plan.benchmarks}
    against = {
        name: (_all_vectors(run, name, of), _committed_thresholds(run, name)) for name, of in names.items()
    }
    located = {encoder: _located(run, "pool", encoder) for encoder in dict.fromkeys(names.values())}
    parts = parts_of(run, "pool")
    shares = rng.multinomial(samples, np.full(len(parts), 1 / len(parts)))
    for at, (part, share) in enumerate(zip(parts, shares, strict=True)):
        if not share or not part.counted:
            continue
        rows, measured = _rows(part), {name: _measured(run, name, part) for name in names}
        wrong = [name for name, table in measured.items() if table.column("uid") != rows.column("uid")]
        if wrong:
            where = layout.measure("similarity", wrong[0], part.number)
            result.problems.append(f"{where} does not hold the rows of {layout.samples('pool', part.number)}")
            continue
        known = [table.column("similarity").is_valid().to_numpy() for table in measured.values()]
        usable = np.flatnonzero(np.all(known, axis=0))
        chosen = np.sort(rng.choice(usable, min(int(share), len(usable)), replace=False))
        if not len(chosen):  # every vector of the part is set aside
            continue
        result.decisions += len(chosen)
        vectors = {of: _vectors_at(rows, found[at][1], chosen) for of, found in located.items()}
        for name, (queries, levels) in against.items():
            expected = best if is_exact(run.plan.engine.backend) else reported
            sample = measured[name].take(pa.array(chosen))
            _compare(sample, name, expected(sample, vectors[names[name]] @ queries.T, levels), result)


def _measured(run: RunContext, name: str, part: Part) -> pa.Table:
    return read_parquet(run.out / layout.measure("similarity", name, part.number))


def _vectors_at(rows: pa.Table, found: Stored, chosen: NDArray[np.int64]) -> Float64:
    """Read the vectors of some rows, and no others."""
    taken = take_rows(found.files, _places(rows, found)[chosen])
    return canonical(taken).vectors.astype(np.float64)


def _committed_thresholds(run: RunContext, name: str) -> Float64 | None:
    path = run.out / layout.index(name, "queries.parquet")
    column = read_parquet(path, columns=["threshold"]).column("threshold")
    return None if column.null_count else column.to_numpy()


def best(sample: pa.Table, exact: Float64, threshold: Float64 | None) -> dict[str, NDArray[Any]]:
    """Compute what an exact backend commits, from the `(n, q)` float64 similarities."""
    found: dict[str, NDArray[Any]] = {"similarity": exact.max(axis=1), "nearest": exact.argmax(axis=1)}
    if threshold is not None:
        margins = exact - threshold
        found |= {"margin": margins.max(axis=1), "margin_query": margins.argmax(axis=1)}
    return found


def reported(sample: pa.Table, exact: Float64, threshold: Float64 | None) -> dict[str, NDArray[Any]]:
    """Compute what any backend may commit: of the queries that it names, the exact similarity and margin."""
    rows = np.arange(len(exact))
    found = {"similarity": exact[rows, sample.column("nearest").to_numpy()]}
    if threshold is not None:
        query = sample.column("margin_query").to_numpy()
        found["margin"] = exact[rows, query] - threshold[query]
    return found


def _compare(sample: pa.Table, name: str, expected: dict[str, NDArray[Any]], result: Recomputed) -> None:
    for field_name, values in expected.items():
        committed = sample.column(field_name).to_numpy()
        for row in np.flatnonzero(committed != values)[:3]:
            uid = sample.column("uid")[int(row)].as_py()
            result.problems.append(
                f"{uid}: {name}.{field_name} is {committed[row]} in the measures, {values[row]} by brute force"
            )


def check_thresholds(run: RunContext, rng: np.random.Generator, count: int, result: Recomputed) -> None:
    """Look for the nearest reference sample of some queries of every benchmark again."""
    if run.plan.reference is None:
        return
    for name in run.plan.benchmarks:
        encoder = encoder_name(run.plan, name)
        committed = _committed_thresholds(run, name)
        queries = _all_vectors(run, name, encoder)
        chosen = np.sort(rng.choice(len(queries), min(count, len(queries)), replace=False))
        best = np.full(len(chosen), -np.inf)
        for part, found in _located(run, "reference", encoder):
            vectors = canonical(take_rows(found.files, _places(_rows(part), found))).vectors
            products = vectors.astype(np.float64) @ queries[chosen].T
            best = np.maximum(best, products.max(axis=0, initial=-np.inf))
        result.thresholds += len(chosen)
        if committed is None or not np.array_equal(best, committed[chosen]):
            result.problems.append(f"{name}: thresholds differ from a brute-force pass over the reference")
