"""All pairs above the soft level that a run knows of, in order, a batch at a time.

A run compares every sample with every query, and keeps of that each query's `k` nearest samples (`neighbours/`) and
each sample's nearest query (`measures/similarity/`). Both are put together here. So every sample above the level is
listed, with its nearest query at least, and every query with its `k` nearest. What can be missing is a pair of a query
whose `k`-th neighbour is still above the level and a sample that has a nearer query: such queries are counted as `cut`.

Pairs are sorted on disk, so memory does not grow with them; of each query, the last neighbour is held.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curation.audit import IntArray
from pipeline.files.database import connect
from pipeline.files.parquet import read_batches
from pipeline.report.answers import NEIGHBOUR
from pipeline.report.compare import Compared
from pipeline.report.lookup import repeated, without
from pipeline.report.request import ReportRequest
from pipeline.sets.uids import as_hex

ROWS = 32_768
_FOUND = pa.schema(
    [
        *(("benchmark", pa.int32()), ("query", pa.int32()), ("rank", pa.int32())),
        *(("uid", pa.string()), ("key", pa.string()), ("similarity", pa.float64())),
    ]
)
# A pair that both have is one row; only neighbours have ranks. Similarity and key of a pair are the same in both.
_ORDERED = """
SELECT benchmark, query, min(rank) AS rank, uid, any_value(key) AS key, similarity FROM pairs
GROUP BY benchmark, query, uid, similarity ORDER BY benchmark, query, similarity DESC, uid
"""


@dataclass(slots=True)
class Coverage:
    """What the list of one benchmark's pairs holds, and what it may lack.

    Attributes:
        cut: `(c,)` queries whose list of neighbours ends above the level, so that pairs of theirs may be missing.
        pairs: Pairs that are listed.
        beyond: Those of them that no list of neighbours has: known by the sample's nearest query alone.
    """

    cut: IntArray
    pairs: int = 0
    beyond: int = 0


@dataclass(slots=True)
class PairRows:
    """The pairs of all benchmarks.

    Attributes:
        request: The committed files, the level and `k`.
        compared: The benchmarks.
        coverage: What is listed of each benchmark, once the rows have been read.
    """

    request: ReportRequest
    compared: Sequence[Compared]
    coverage: dict[str, Coverage] = field(default_factory=dict)

    def batches(self) -> Iterator[pa.Table]:
        """Read all pairs: by benchmark in plan order, then by query, nearest first, ties by the lower uid.

        Yields:
            Tables of `benchmark` and `query` (positions), `rank` (NULL beyond a query's list), `uid`, `key` and
            `similarity`.

        Raises:
            DataError: If a committed file is missing or damaged.
        """
        with connect(self.request.out, self.request.memory_limit, self.request.threads) as db:
            db.execute(
                "CREATE TABLE pairs (benchmark INTEGER, query INTEGER, rank INTEGER, uid UUID, key VARCHAR, "
                "similarity DOUBLE)"
            )
            for at, each in enumerate(self.compared):
                for table in self._found(each):
                    number = pa.array(np.full(len(table), at, np.int32))
                    db.register(
                        "found", table.add_column(0, "benchmark", number).select(_FOUND.names).cast(_FOUND)
                    )
                    db.execute("INSERT INTO pairs SELECT * REPLACE (uid::UUID AS uid) FROM found")
                    db.unregister("found")
            for batch in db.sql(_ORDERED).to_arrow_reader(ROWS):
                table = pa.Table.from_batches([batch])
                uid = table.schema.get_field_index("uid")
                yield self._counted(table.set_column(uid, "uid", as_hex(batch.column("uid"))))

    def _counted(self, table: pa.Table) -> pa.Table:
        at, beyond = table.column("benchmark").to_numpy(), table.column("rank").is_null()
        for number in np.unique(at).tolist():
            coverage = self.coverage[self.compared[number].files.name]
            own = at == number
            coverage.pairs += int(np.count_nonzero(own))
            coverage.beyond += int(np.count_nonzero(own & beyond.to_numpy(zero_copy_only=False)))
        return table

    def _found(self, each: Compared) -> Iterator[pa.Table]:
        """List what the neighbours have, then what only the samples' nearest queries have."""
        soft, queries = self.request.options.soft, len(each.queries)
        listed, last = np.zeros(queries, dtype=np.int64), np.full(queries, np.nan)
        for batch in read_batches(self.request.path(each.files.neighbours), [*NEIGHBOUR, "key"], rows=ROWS):
            query = batch.column("query").to_numpy()
            listed[query] = batch.column("rank").to_numpy()  # ranks ascend, so a query's last one stays
            last[query] = batch.column("similarity").to_numpy()
            yield _above(batch, soft)
        cut = (listed == self.request.neighbours) & (listed < each.measured.samples) & (last > soft)
        self.coverage[each.files.name] = Coverage(np.flatnonzero(cut))
        if cut.any():
            yield from self._beyond(each, cut)

    def _beyond(self, each: Compared, cut: NDArray[np.bool_]) -> Iterator[pa.Table]:
        """List the samples above the level whose nearest query has a list that is cut, with that query.

        Most of them are in its list as well. They have no rank here: memory holds those of one part of the pool.
        """
        skip = repeated(self.request, self.request.pool)
        # Both name the parts of the pool in the same order.
        for scores, samples in zip(each.files.similarity, self.request.pool.samples, strict=True):
            near = [
                table.filter(pa.array(cut[table.column("nearest").to_numpy()]))
                for batch in read_batches(
                    self.request.path(scores), ["uid", "similarity", "nearest"], rows=ROWS
                )
                if len(table := _above(batch, self.request.options.soft))
            ]
            if any(map(len, near)):
                found = pa.concat_tables(near).rename_columns(["uid", "similarity", "query"])
                keys = without(_rows(self.request.path(samples), found.column("uid")), skip)
                joined = found.join(keys.select(["uid", "key"]), "uid", join_type="inner")
                yield joined.append_column("rank", pa.nulls(len(joined), pa.int32()))


def _above(batch: pa.RecordBatch, level: float) -> pa.Table:
    return pa.Table.from_batches([batch]).filter(pc.field("similarity") > level)


def _rows(path: Path, uids: pa.ChunkedArray) -> pa.Table:
    """Read the rows of a part that have one of the uids."""
    wanted = pc.field("uid").isin(uids.combine_chunks())
    batches = read_batches(path, ["uid", "part", "row", "key"], rows=ROWS)
    return pa.concat_tables([pa.Table.from_batches([batch]).filter(wanted) for batch in batches])
