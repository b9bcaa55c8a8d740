"""One pass over the measured columns: counts by similarity and margin, and the samples next to the threshold.

Memory does not depend on the pool: batches are counted into fixed bins, and only the few samples that lie
closest to their threshold are remembered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from curation.audit import MARGINS, SIMILARITIES, FloatArray, IntArray
from indexes.errors import DataError
from pipeline.sets.uids import as_hex

BATCH_ROWS = 131_072
# Name under which the maximum over all benchmarks is counted; it cannot be a benchmark's own.
ALL = ""


@dataclass(slots=True)
class Closest:
    """The `limit` samples with the smallest distance so far; ties go to the lower uid."""

    limit: int
    distance: FloatArray = field(default_factory=lambda: np.empty(0))
    query: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    uid: NDArray[np.str_] = field(default_factory=lambda: np.empty(0, dtype="U32"))

    def add(self, distance: FloatArray, query: IntArray, uids: pa.Array, among: NDArray[np.bool_]) -> None:
        """Consider the rows of a batch that `among` marks."""
        if self.limit == 0:
            return
        worst = self.distance[-1] if len(self.distance) == self.limit else np.inf
        rows = np.flatnonzero(among & (distance <= worst))
        if not len(rows):
            return
        if len(rows) > 4 * self.limit:  # keeps hex conversion off the rows that cannot win
            bound = np.partition(distance[rows], self.limit - 1)[self.limit - 1]
            rows = rows[distance[rows] <= bound]
        hexed = np.array(as_hex(uids.take(pa.array(rows))).to_pylist(), dtype="U32")
        distances = np.concatenate([self.distance, distance[rows]])
        queries = np.concatenate([self.query, query[rows]])
        names = np.concatenate([self.uid, hexed])
        order = np.lexsort((names, distances))[: self.limit]
        self.distance, self.query, self.uid = distances[order], queries[order], names[order]


@dataclass(slots=True)
class Measured:
    """What the pool's measures say of one benchmark (or, under `ALL`, of the maximum over all).

    Attributes:
        samples: Samples measured.
        similarity: `(516,)` samples per bin of `SIMILARITIES`.
        margin: `(1032,)` samples per bin of `MARGINS`; all zero without a reference.
        above: Samples whose similarity is strictly above each named threshold.
        over: Samples with a margin above 0: what near-pruning drops.
        nearest_over: The samples that lie just above the threshold.
        nearest_under: The samples that lie at it or just below.
    """

    above: dict[float, int]
    nearest_over: Closest
    nearest_under: Closest
    samples: int = 0
    over: int = 0
    similarity: IntArray = field(default_factory=lambda: np.zeros(2 * SIMILARITIES.reach, dtype=np.int64))
    margin: IntArray = field(default_factory=lambda: np.zeros(2 * MARGINS.reach, dtype=np.int64))

    def add(self, similarity: FloatArray, margin: FloatArray | None) -> None:
        """Count a batch."""
        self.samples += len(similarity)
        self.similarity += SIMILARITIES.count(similarity)
        for threshold in self.above:
            self.above[threshold] += int(np.count_nonzero(similarity > threshold))
        if margin is not None:
            self.margin += MARGINS.count(margin)
            self.over += int(np.count_nonzero(margin > 0))


@dataclass(frozen=True, slots=True)
class Scan:
    """What to read from the measures.

    Attributes:
        benchmarks: Names, in plan order.
        thresholds: Named thresholds to count at.
        around: Without a reference, the one threshold around which pairs are shown; None with a reference.
        pairs: How many samples to remember on either side of the threshold.
    """

    benchmarks: Sequence[str]
    thresholds: Sequence[float]
    around: float | None
    pairs: int

    def run(self, paths: Sequence[Path]) -> dict[str, Measured]:
        """Count every part, by benchmark and under `ALL`."""
        found = {name: self._empty() for name in (*self.benchmarks, ALL)}
        for path in paths:
            for batch in batches(path, self._columns()):
                self._count(batch, found)
        return found

    def _empty(self) -> Measured:
        return Measured(dict.fromkeys(self.thresholds, 0), Closest(self.pairs), Closest(self.pairs))

    def _columns(self) -> list[str]:
        fields = (
            ("similarity", "margin", "margin_query") if self.around is None else ("similarity", "nearest")
        )
        return ["uid", *(f"{name}.{field}" for name in self.benchmarks for field in fields)]

    def _count(self, batch: pa.RecordBatch, found: dict[str, Measured]) -> None:
        highest, widest = None, None
        for name in self.benchmarks:
            struct = batch.column(name)
            similarity = numbers(struct.field("similarity"))
            margin = numbers(struct.field("margin")) if self.around is None else None
            found[name].add(similarity, margin)
            query = "margin_query" if self.around is None else "nearest"
            offset = similarity - self.around if self.around is not None else margin
            self._remember(found[name], offset, struct.field(query), batch.column("uid"))
            # np.maximum passes NaN on: a sample that was not measured on one benchmark counts nowhere.
            highest = similarity if highest is None else np.maximum(highest, similarity)
            widest = margin if widest is None or margin is None else np.maximum(widest, margin)
        if highest is not None:
            found[ALL].add(highest, widest)

    def _remember(self, measured: Measured, offset: Any, query: pa.Array, uids: pa.Array) -> None:
        positions = query.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        measured.nearest_over.add(offset, positions, uids, offset > 0)
        measured.nearest_under.add(-offset, positions, uids, offset <= 0)


def numbers(column: pa.Array) -> FloatArray:
    """Give a float column as numpy, NaN for null."""
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)


def batches(path: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Stream columns of a Parquet file; a dotted name is a field of a struct.

    Raises:
        DataError: If the file is missing or damaged.
    """
    with opened(path) as file:
        # Asked for all row groups at once, Arrow keeps what it has read of each until the last is done.
        for group in range(file.num_row_groups):
            yield from file.iter_batches(BATCH_ROWS, row_groups=[group], columns=columns)


@contextmanager
def opened(path: Path) -> Iterator[pq.ParquetFile]:
    """Open a committed Parquet file, its page checksums verified; damage met while reading is said too.

    Raises:
        DataError: If the file is missing or damaged.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"'{path}' was committed by the run but cannot be read now ({error}); run `nearfar verify` on its folder "
            "to see what else is damaged, remove it, and run the plan again"
        ) from error
