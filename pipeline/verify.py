"""Check a finished run: every byte again, and a sample of its decisions by a plain float64 path.

The path shares no search code with the run: NumPy reads the vector files, and one matrix product in float64 gives the
similarities, which are exact for unit float16 vectors (see `indexes.brute`). Where the plan names an approximate
backend, another query may be nearer than the one that was found, but the similarity to that one must be exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from indexes.canonical import canonical
from indexes.errors import OutputError
from indexes.search import is_exact
from pipeline.commit import Record, read_record
from pipeline.execution.work import RunContext
from pipeline.files.digests import InputDigests, sha256_of
from pipeline.files.parquet import read_parquet
from pipeline.files.vectors import take
from pipeline.plan import load_lock
from pipeline.run import LOCK_FILE, RunOptions, open_run, waves
from pipeline.sets.membership import is_member
from pipeline.sets.samples import Part, part_blocks, part_table
from pipeline.sets.uids import as_hex, as_pairs
from pipeline.stages._parts import parts_of

Float64 = NDArray[np.float64]


@dataclass(slots=True)
class Verification:
    """What was checked, and each thing that is wrong, in words.

    Attributes:
        files: Committed files that were hashed again.
        decisions: Samples whose scores were computed again.
        thresholds: Queries whose threshold was computed again.
        problems: One sentence each; empty if all is well.
    """

    files: int = 0
    decisions: int = 0
    thresholds: int = 0
    problems: list[str] = field(default_factory=list)


def verify(out: Path, samples: int = 256, seed: int = 0) -> Verification:
    """Verify a finished run.

    Args:
        out: Its output folder.
        samples: Pool samples to decide again, drawn with `seed`; a quarter as many queries are calibrated again.
        seed: Seed of that draw.

    Raises:
        OutputError: If the folder holds no finished run.
    """
    if not (out / LOCK_FILE).is_file():
        raise OutputError(f"{out} holds no run (no {LOCK_FILE}); name the `output` folder of a plan")
    result = Verification()
    run = replay(out, result)
    if not result.problems:
        rng = np.random.default_rng(seed)
        _check_decisions(run, rng, samples, result)
        _check_thresholds(run, rng, max(1, samples // 4), result)
    return result


def replay(out: Path, result: Verification) -> RunContext:
    """Walk through a finished run's records, hashing what they name, without doing anything.

    Raises:
        OutputError: If some unit is not done, or its inputs changed.
    """
    lock = load_lock(out / LOCK_FILE)
    plan = lock.plan.model_copy(update={"output": str(out)})
    run = open_run(plan, RunOptions(command=lock.fingerprints["command"]))
    run.digests = InputDigests(run.out, anew=True)
    for stage, wave in waves(run):
        for work in wave:
            record = read_record(run.out, stage, work.name)
            if record is None or record.fingerprint != work.unit().fingerprint:
                raise OutputError(
                    f"{stage}/{work.name} is not done in {out}, or its inputs changed; run the plan again to finish it"
                )
            run.done[stage][work.name] = record
            _check_files(run.out, record, result)
    return run


def _check_files(out: Path, record: Record, result: Verification) -> None:
    for output in record.outputs:
        result.files += 1
        path = out / output.path
        try:
            if not path.is_file():
                result.problems.append(f"{output.path} is gone")
            elif path.stat().st_size != output.bytes or sha256_of(path) != output.sha256:
                result.problems.append(f"{output.path} is not what was committed: its sha256 differs")
        except OSError as error:
            result.problems.append(f"{output.path} cannot be read: {error.strerror}")


def _vectors(part: Part, columns: list[str]) -> Iterator[tuple[pa.Table, Float64]]:
    """Give a part's comparable rows with their vectors in float64."""
    for table, block in part_blocks(part, columns, 65_536):
        result = canonical(block)
        yield table.filter(pa.array(result.healthy)), result.vectors.astype(np.float64)


def _benchmark(run: RunContext, name: str) -> Float64:
    blocks = [vectors for _, part, _ in parts_of(run, name) for _, vectors in _vectors(part, ["uid"])]
    return np.concatenate(blocks)


def _check_decisions(run: RunContext, rng: np.random.Generator, samples: int, result: Verification) -> None:
    queries = {name: _benchmark(run, name) for name in run.plan.benchmarks}
    thresholds = {name: _committed_thresholds(run, name) for name in queries}
    expected = best if is_exact(run.plan.engine.backend) else reported
    kept = {name: _kept(run, name) for name in run.plan.splits}
    parts = parts_of(run, "pool")
    shares = rng.multinomial(samples, np.full(len(parts), 1 / len(parts)))
    for (number, part, _), share in zip(parts, shares, strict=True):
        if not share:
            continue
        measured = read_parquet(run.out / f"measures/similarity/part-{number}.parquet")
        if not len(measured):  # an empty shard, or one whose every vector is in quarantine
            continue
        chosen = np.sort(rng.choice(len(measured), min(int(share), len(measured)), replace=False))
        sample = measured.take(pa.array(chosen))
        vectors = _vectors_of(part, sample.column("uid"))
        result.decisions += len(sample)
        for name, query in queries.items():
            column = sample.column(name).combine_chunks()
            _compare(sample, name, column, expected(column, vectors @ query.T, thresholds[name]), result)
        _check_near(run, sample, kept, result)


def _kept(run: RunContext, split: str) -> NDArray[Any]:
    return np.load(run.out / "splits" / split / "uids.npy", mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]


def _committed_thresholds(run: RunContext, name: str) -> Float64 | None:
    column = read_parquet(run.out / "indexes" / name / "queries.parquet", columns=["threshold"]).column(
        "threshold"
    )
    return None if column.null_count else column.to_numpy()


def _vectors_of(part: Part, uids: pa.ChunkedArray) -> Float64:
    """Look the samples up by uid, never by position, and read no vectors but theirs."""
    if part.vectors is None:
        raise OutputError(f"{part.samples} was measured, but its vectors are gone; embed the set again")
    table = part_table(part, ["uid", "row"])
    places = pc.index_in(_storage(uids), value_set=_storage(table.column("uid")))
    rows = table.column("row").take(places).to_numpy()
    return canonical(take(part.vectors, rows)).vectors.astype(np.float64)


def _storage(uids: pa.ChunkedArray) -> pa.Array:
    return uids.combine_chunks().storage


def best(column: pa.StructArray, exact: Float64, threshold: Float64 | None) -> dict[str, NDArray[Any]]:
    """Give what an exact backend commits, from the `(n, q)` float64 similarities."""
    found: dict[str, NDArray[Any]] = {"similarity": exact.max(axis=1), "nearest": exact.argmax(axis=1)}
    if threshold is not None:
        margins = exact - threshold
        found |= {"margin": margins.max(axis=1), "margin_query": margins.argmax(axis=1)}
    return found


def reported(column: pa.StructArray, exact: Float64, threshold: Float64 | None) -> dict[str, NDArray[Any]]:
    """Give what any backend may commit: of the queries that it names, the exact similarity and margin."""
    rows = np.arange(len(exact))
    found = {"similarity": exact[rows, column.field("nearest").to_numpy()]}
    if threshold is not None:
        query = column.field("margin_query").to_numpy()
        found["margin"] = exact[rows, query] - threshold[query]
    return found


def _compare(
    sample: pa.Table,
    name: str,
    column: pa.StructArray,
    expected: dict[str, NDArray[Any]],
    result: Verification,
) -> None:
    for field_name, values in expected.items():
        committed = column.field(field_name).to_numpy(zero_copy_only=False)
        for row in np.flatnonzero(committed != values)[:3]:
            uid = as_hex(sample.column("uid").slice(int(row), 1)).to_pylist()[0]
            result.problems.append(
                f"{uid}: {name}.{field_name} is {committed[row]} in the measures, {values[row]} by brute force"
            )


def _check_near(
    run: RunContext, sample: pa.Table, kept: dict[str, NDArray[Any]], result: Verification
) -> None:
    """A split that begins with a per-query near rule keeps no sample whose margin is above zero."""
    uids = as_pairs(sample.column("uid"))
    for split, described in run.plan.splits.items():
        dropped = np.zeros(len(sample), dtype=bool)
        for rule in described.rules:
            for name in getattr(rule, "to", ()) if getattr(rule, "threshold", None) == "per_query" else ():
                margin = sample.column(name).combine_chunks().field("margin").to_numpy(zero_copy_only=False)
                dropped |= margin > 0
        for row in np.flatnonzero(dropped & is_member(kept[split], uids))[:3]:
            uid = as_hex(sample.column("uid").slice(int(row), 1)).to_pylist()[0]
            result.problems.append(
                f"{uid} is in split {split}, though it is nearer to a query than the reference is"
            )


def _check_thresholds(run: RunContext, rng: np.random.Generator, count: int, result: Verification) -> None:
    if run.plan.reference is None:
        return
    for name in run.plan.benchmarks:
        committed = _committed_thresholds(run, name)
        queries = _benchmark(run, name)
        chosen = np.sort(rng.choice(len(queries), min(count, len(queries)), replace=False))
        best = np.full(len(chosen), -np.inf)
        for _, part, _ in parts_of(run, "reference"):
            for _, vectors in _vectors(part, ["uid"]):
                best = np.maximum(best, (vectors @ queries[chosen].T).max(axis=0, initial=-np.inf))
        result.thresholds += len(chosen)
        if committed is None or not np.array_equal(best, committed[chosen]):
            result.problems.append(f"{name}: thresholds differ from a brute-force pass over the reference")
