"""A search that a pass feeds: scores for each block, and in the end each query's nearest samples."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from indexes.quality import Quality, SampledScanner
from indexes.queries import Queries
from indexes.scores import Neighbours, Scores
from indexes.search import Scanner
from pipeline.execution.work import Place
from pipeline.passes.packed_queries import scan_options
from pipeline.passes.part_pass import Rows, pairs

NEAREST_SCHEMA = pa.schema(
    [("query", pa.int32()), ("uid", pa.string()), ("key", pa.string()), ("similarity", pa.float64())]
)


@dataclass(slots=True)
class Search:
    """One scanner over the queries of some benchmarks, and the samples that it has seen.

    Attributes:
        names: The benchmarks, in the order of their queries.
        lane: The pool's vectors that are compared with them.
        queries: Their packed queries.
        scanner: The open search.
        samples: `uid` and `key` of the samples that were compared, in the order of the stream.
    """

    names: tuple[str, ...]
    lane: str
    queries: Queries
    scanner: Scanner
    samples: list[pa.Table] = field(default_factory=list)
    _found: Neighbours | None = None

    def scan(self, rows: Rows) -> Scores:
        """Score the rows of a block that have a vector; may run ahead of whoever takes the scores."""
        mask = rows.healthy([self.lane])
        samples = rows.samples(mask)
        self.samples.append(samples)
        return self.scanner.scan(rows.vectors(self.lane, mask), pairs(samples))

    def nearest(self, name: str) -> pa.Table:
        """List the nearest samples of each query of a benchmark, by query and then nearest first."""
        if self._found is None:
            self._found = self.scanner.neighbours()
        at = self.names.index(name)
        first, stop = int(self.queries.starts[at]), int(self.queries.starts[at + 1])
        position, similarity = self._found.position[first:stop], self._found.similarity[first:stop]
        query, rank = np.nonzero(position >= 0)
        if not self.samples:
            return NEAREST_SCHEMA.empty_table()
        taken = pa.concat_tables(self.samples).take(pa.array(position[query, rank]))
        columns = {
            "query": pa.array(query.astype(np.int32)),
            "uid": taken.column("uid"),
            "key": taken.column("key"),
            "similarity": pa.array(similarity[query, rank]),
        }
        return pa.table(columns, schema=NEAREST_SCHEMA)

    def quality(self, place: Place) -> Quality | None:
        """Say how the answers compare with exact ones, where the backend is not exact."""
        if isinstance(self.scanner, SampledScanner):
            return self.scanner.quality(self.queries, scan_options(place, k=1))
        return None


def one_segment(scores: Scores, at: int, rows: NDArray[np.int64] | None) -> Scores:
    """Take one benchmark's scores, for all rows of a block or for some."""

    def part(values: NDArray[np.generic] | None) -> NDArray[np.generic] | None:
        if values is None:
            return None
        column = values[:, at : at + 1]
        return column if rows is None else column[rows]

    return Scores(
        part(scores.similarity),  # type: ignore[arg-type]
        part(scores.nearest),  # type: ignore[arg-type]
        part(scores.margin),  # type: ignore[arg-type]
        part(scores.margin_query),  # type: ignore[arg-type]
    )
