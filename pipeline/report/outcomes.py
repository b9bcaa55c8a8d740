"""What became of every row of every set; it adds up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.files.parquet import parquet_rows, read_batches
from pipeline.report.request import ReportRequest, SetFiles

# A pool can give a reason per row (an HTTP error with its text); so many are told apart.
REASONS = 30
REASON_LENGTH = 120


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one set.

    Attributes:
        dataset: Its dataset, where the plan says so.
        listed: All rows that the set lists.
        failed: Rows that could not be read, by reason.
        quarantined: Rows whose image or vector was refused, by reason.
        repeated: Rows that repeat a uid and take no part.
    """

    dataset: str | None
    listed: int
    failed: dict[str, int]
    quarantined: dict[str, int]
    repeated: int

    @property
    def lost(self) -> int:
        """Rows that nothing was compared with: they could not be read, or were refused."""
        return sum(self.failed.values()) + sum(self.quarantined.values())

    @property
    def measured(self) -> int:
        """Rows that take part."""
        return self.listed - self.lost - self.repeated


def account(request: ReportRequest) -> dict[str, Rows]:
    """Account for the pool, the reference, each benchmark and each further source."""
    sets = {"pool": request.pool}
    if request.reference is not None:
        sets["reference"] = request.reference
    sets |= {f"benchmark {benchmark.name}": benchmark.rows for benchmark in request.benchmarks}
    sets |= {f"source {source.name}": source for source in request.sources}
    return {name: _rows(request, files) for name, files in sets.items()}


def _rows(request: ReportRequest, files: SetFiles) -> Rows:
    lost: dict[str, Counter[str]] = {"failed": Counter(), "quarantined": Counter()}
    for path in files.lost:
        for batch in read_batches(request.path(path), ["outcome", "reason"]):
            for outcome, count in lost.items():
                chosen = batch.filter(pc.equal(batch.column("outcome"), outcome))
                count.update(_counted(chosen.column("reason")))
    for paths in files.quarantined:
        lost["quarantined"].update(_set_aside([request.path(path) for path in paths]))
    readable = sum(parquet_rows(request.path(path)) for path in files.samples)
    repeated = parquet_rows(request.path(files.duplicates)) if files.duplicates else 0
    listed = readable + sum(parquet_rows(request.path(path)) for path in files.lost)
    return Rows(files.dataset, listed, _first(lost["failed"]), _first(lost["quarantined"]), repeated)


def _set_aside(paths: Sequence[Path]) -> Counter[str]:
    """Count the rows of a part that were set aside; one that two encoders set aside counts once, for the first."""
    count: Counter[str] = Counter()
    seen: set[int] = set()
    for path in paths:
        for batch in read_batches(path, ["row", "reason"]):
            fresh = batch.filter(pc.invert(pc.is_in(batch.column("row"), pa.array(seen, pa.int64()))))
            count.update(_counted(fresh.column("reason")))
        if path != paths[-1]:
            seen |= {row for batch in read_batches(path, ["row"]) for row in batch.column("row").to_pylist()}
    return count


def _counted(column: pa.Array) -> Counter[str]:
    count: Counter[str] = Counter()
    for pair in pc.value_counts(column).to_pylist():
        count[str(pair["values"] or "unknown")[:REASON_LENGTH]] += pair["counts"]
    return count


def _first(count: Counter[str]) -> dict[str, int]:
    """Keep the most frequent reasons apart and add up the others."""
    ranked = sorted(count.items(), key=lambda pair: (-pair[1], pair[0]))
    rest = sum(number for _, number in ranked[REASONS:])
    return dict(ranked[:REASONS]) | ({"other reasons": rest} if rest else {})
