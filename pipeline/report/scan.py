"""One pass over the similarities: counts by similarity and margin, and the samples next to the threshold.

Every benchmark has files of its own with the same rows in the same order, so a part's files are read side by side.
Memory does not depend on the pool: rows are counted into fixed bins, and only the few samples that lie closest to their
threshold are remembered. Their uids are the bulk of the files and are read of row groups that hold such a sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.audit import MARGINS, SIMILARITIES, FloatArray, IntArray
from indexes.errors import DataError
from indexes.stream import ahead
from pipeline.report.committed import Committed

BATCH_ROWS = 131_072
# Row groups that may wait to be counted while the next are read.
WAITING = 2
# Name under which the maximum over all benchmarks is counted; it cannot be a benchmark's own.
ALL = ""
Uids = Callable[[IntArray], NDArray[np.str_]]
"""Looks up the uids of some rows of a batch."""


@dataclass(slots=True)
class Closest:
    """The `limit` samples with the smallest distance so far; ties go to the lower uid."""

    limit: int
    distance: FloatArray = field(default_factory=lambda: np.empty(0))
    query: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    uid: NDArray[np.str_] = field(default_factory=lambda: np.empty(0, dtype="U32"))

    @property
    def worst(self) -> float:
        """The distance beyond which a sample is not remembered."""
        if self.limit == 0:
            return -np.inf
        return float(self.distance[-1]) if len(self.distance) == self.limit else np.inf

    def add(self, distance: FloatArray, query: IntArray, uids: Uids) -> None:
        """Consider some samples; `distance` and `query` are `(m,)`, and `uids` looks up theirs by position."""
        rows = np.flatnonzero(distance <= self.worst)
        if not len(rows):
            return
        if len(rows) > 4 * self.limit:  # keeps the look-up of uids off the rows that cannot win
            bound = np.partition(distance[rows], self.limit - 1)[self.limit - 1]
            rows = rows[distance[rows] <= bound]
        distances = np.concatenate([self.distance, distance[rows]])
        queries = np.concatenate([self.query, query[rows]])
        names = np.concatenate([self.uid, uids(rows)])
        order = np.lexsort((names, distances))[: self.limit]
        self.distance, self.query, self.uid = distances[order], queries[order], names[order]


@dataclass(slots=True)
class Measured:
    """What the pool's similarities say of one benchmark (or, under `ALL`, of the maximum over all).

    Attributes:
        samples: Samples that have a similarity.
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
        """Count `(m,)` similarities and margins; NaN, a sample that was not measured, counts nowhere."""
        counts = SIMILARITIES.count(similarity)
        self.samples += int(counts.sum())
        self.similarity += counts
        for threshold in self.above:
            self.above[threshold] += int(np.count_nonzero(similarity > threshold))
        if margin is not None:
            self.margin += MARGINS.count(margin)
            self.over += int(np.count_nonzero(margin > 0))


@dataclass(frozen=True, slots=True)
class Scan:
    """What to read from the similarities.

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

    def run(self, parts: Sequence[Sequence[Path]]) -> dict[str, Measured]:
        """Count every part, by benchmark and under `ALL`.

        Args:
            parts: For each part of the pool, the file of each benchmark, in the order of `benchmarks`.

        Raises:
            DataError: If a file is missing or damaged, or the files of a part are out of step.
        """
        found = {name: self._empty() for name in (*self.benchmarks, ALL)}
        for tables, uids in ahead(self._groups(parts), WAITING):
            for start in range(0, len(tables[0]), BATCH_ROWS):
                rows = [table.slice(start, BATCH_ROWS) for table in tables]
                self._count(rows, uids.starting(start), found)
        return found

    def _groups(self, parts: Sequence[Sequence[Path]]) -> Iterator[tuple[list[pa.Table], _UidsOfGroup]]:
        """Read one row group of all benchmarks after the other."""
        offset = ["nearest"] if self.around is not None else ["margin", "margin_query"]
        for paths in parts:
            with ExitStack() as stack:
                files = [stack.enter_context(Committed(path)) for path in paths]
                for number in range(_check_aligned(files)):
                    tables = [file.read(number, ["similarity", *offset]) for file in files]
                    yield tables, _UidsOfGroup(paths[0], number)

    def _empty(self) -> Measured:
        return Measured(dict.fromkeys(self.thresholds, 0), Closest(self.pairs), Closest(self.pairs))

    def _count(self, rows: Sequence[pa.Table], uids: Uids, found: dict[str, Measured]) -> None:
        highest, widest = None, None
        for name, table in zip(self.benchmarks, rows, strict=True):
            similarity = numbers(table.column("similarity"))
            margin = numbers(table.column("margin")) if self.around is None else None
            found[name].add(similarity, margin)
            query = "margin_query" if self.around is None else "nearest"
            offset = similarity - self.around if self.around is not None else margin
            self._remember(found[name], offset, table.column(query), uids)
            # np.maximum passes NaN on: a sample that was not measured on one benchmark counts nowhere.
            highest = similarity if highest is None else np.maximum(highest, similarity)
            widest = margin if widest is None or margin is None else np.maximum(widest, margin)
        if highest is not None:
            found[ALL].add(highest, widest)

    def _remember(self, measured: Measured, offset: Any, query: pa.ChunkedArray, uids: Uids) -> None:
        sides = (measured.nearest_over, measured.nearest_under)
        # Soon only few rows lie near enough; NaN, a sample that was not measured, never does.
        rows = np.flatnonzero(np.abs(offset) <= max(side.worst for side in sides))
        if not len(rows):
            return
        near = offset[rows]
        positions = query.take(pa.array(rows)).to_numpy().astype(np.int64)
        for side, distance, among in zip(sides, (near, -near), (near > 0, near <= 0), strict=True):
            side.add(distance[among], positions[among], partial(_among, uids, rows[among]))


def _among(uids: Uids, rows: IntArray, chosen: IntArray) -> NDArray[np.str_]:
    return uids(rows[chosen])


@dataclass(slots=True)
class _UidsOfGroup:
    """The uids of a row group, read when the first of them is asked for."""

    path: Path
    group: int
    column: pa.ChunkedArray | None = None

    def starting(self, first: int) -> Uids:
        """Look rows up that are counted from `first`."""

        def look_up(rows: IntArray) -> NDArray[np.str_]:
            if self.column is None:
                with Committed(self.path) as file:  # the file of the scores is at work on what follows
                    self.column = file.read(self.group, ["uid"]).column("uid")
            return np.array(self.column.take(pa.array(rows + first)).to_pylist(), dtype="U32")

        return look_up


def _check_aligned(files: Sequence[Committed]) -> int:
    """Refuse files of a part that list other rows; their footers tell. Returns the number of row groups."""
    outlines = [file.outline() for file in files]
    for file, outline in zip(files, outlines, strict=True):
        if outline != outlines[0]:
            raise DataError(
                f"'{files[0].path}' and '{file.path}' do not list the same samples, though both are of one part of the "
                "pool; `nearfar verify OUT --repair` on the output folder makes again what is damaged"
            )
    return len(outlines[0]) if outlines else 0


def numbers(column: pa.ChunkedArray) -> FloatArray:
    """Turn a float column into `(n,)` float64, NaN for null."""
    return np.asarray(column.to_numpy(), dtype=np.float64)
