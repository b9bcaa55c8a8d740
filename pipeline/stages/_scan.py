"""One pass of some parts' vectors through a scanner: what every stage that reads vectors shares.

Reading, making canonical, scanning and what the caller does with the scores overlap.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from indexes.canonical import REASONS, canonical
from indexes.scores import Scores
from indexes.search import Scanner
from indexes.stream import ahead
from pipeline.execution.work import Json
from pipeline.sets.samples import Part, part_blocks
from pipeline.sets.uids import as_pairs

# Rows read at a time, of which some five blocks are in memory. It decides nothing; measured: with blocks above 32 MB,
# which the C library gives back to the system one by one, reading takes several times as long.
BLOCK = 16_384
# Blocks of scores that may wait for the caller: writing comes in bursts, a row group of Parquet at a time.
WAITING = 4
Parts: TypeAlias = Sequence[tuple[str, Part]]
NEIGHBOURS_SCHEMA = pa.schema(
    [("query", pa.int32()), ("uid", pa.uuid()), ("key", pa.string()), ("similarity", pa.float64())]
)
QUARANTINED_SCHEMA = pa.schema([("uid", pa.uuid()), ("key", pa.string()), ("reason", pa.string())])


@dataclass(slots=True)
class Seen:
    """What a pass leaves behind beside the scores.

    Attributes:
        samples: `uid` and `key` of the samples that were compared, in stream order.
        quarantined: Part by part, `uid`, `key` and `reason` of those whose vector cannot be compared.
        normalised: Vectors that came unnormalised.
    """

    samples: list[pa.Table] = field(default_factory=list)
    quarantined: dict[str, list[pa.Table]] = field(default_factory=dict)
    normalised: int = 0

    def note(self, rows: _Rows) -> None:
        """Take a block into account, when the caller is given it."""
        self.samples.append(rows.samples)
        self.quarantined.setdefault(rows.part, []).append(rows.quarantined)
        self.normalised += rows.normalised

    def lost(self, parts: Sequence[str] | None = None) -> pa.Table:
        """List the samples of these parts, or of all, whose vector cannot be compared."""
        chosen = self.quarantined if parts is None else parts
        tables = [table for part in chosen for table in self.quarantined.get(part, [])]
        return pa.concat_tables([QUARANTINED_SCHEMA.empty_table(), *tables])

    def facts(self) -> Json:
        """Count by outcome, for the unit's record."""
        counts = {reason: 0 for reason in REASONS if reason}
        for reason in self.lost().column("reason").to_pylist():
            counts[reason] += 1
        compared = sum(len(table) for table in self.samples)
        return {"compared": compared, "quarantined": counts, "normalised": self.normalised}


@dataclass(frozen=True, slots=True)
class _Rows:
    """What `Seen` is told of a block of a part: comparable samples, the others, and how many came unnormalised."""

    part: str
    samples: pa.Table
    quarantined: pa.Table
    normalised: int


def healthy_blocks(
    parts: Parts, seen: Seen, columns: Sequence[str] = ("uid", "key")
) -> Iterator[tuple[pa.Table, NDArray[np.float16]]]:
    """Stream the parts' comparable samples with their canonical vectors, noting them and the others in `seen`.

    `columns` are those of `samples/` to give for each; `uid` and `key` are among them. The next block is read while
    the caller works on this one; `seen` knows of those that the caller was given.
    """
    for rows, vectors in ahead(_comparable(parts, columns)):
        seen.note(rows)
        yield rows.samples, vectors


def _comparable(parts: Parts, columns: Sequence[str]) -> Iterator[tuple[_Rows, NDArray[np.float16]]]:
    """Give at least one block for each part, be it empty."""
    for number, part in parts:
        for table, stored in part_blocks(part, list(columns), BLOCK):
            result = canonical(stored)
            samples = table.select(list(columns))
            if len(result.vectors) < len(samples):
                samples = samples.filter(pa.array(result.healthy))
            lost = quarantined(table, result.healthy, result.reasons)
            yield _Rows(number, samples, lost, result.normalised), result.vectors


def quarantined(table: pa.Table, healthy: NDArray[np.bool_], reasons: NDArray[Any]) -> pa.Table:
    """List the rows whose vector takes part in no comparison, with the reason."""
    bad = table.select(["uid", "key"]).filter(pa.array(~healthy))
    return bad.append_column("reason", pa.array([REASONS[code] for code in reasons[~healthy]], pa.string()))


def scan_parts(parts: Parts, search: Scanner, seen: Seen) -> Iterator[tuple[str, pa.Table, Scores]]:
    """Score parts block by block, in stream order; the next blocks are scanned while the caller works on this one.

    Each part gives at least one block, with its number.

    `search` is another thread's until the stream has ended; only then ask it for neighbours.
    """
    for rows, scores in ahead(_scanned(parts, search), WAITING):
        seen.note(rows)
        yield rows.part, rows.samples, scores


def _scanned(parts: Parts, search: Scanner) -> Iterator[tuple[_Rows, Scores]]:
    for rows, vectors in ahead(_comparable(parts, ("uid", "key"))):
        yield rows, search.scan(vectors, as_pairs(rows.samples.column("uid")))


def neighbour_table(search: Scanner, seen: Seen) -> pa.Table:
    """List each query's nearest samples of what `search` has seen, by query and then nearest first."""
    found = search.neighbours()
    query, rank = np.nonzero(found.position >= 0)
    samples = pa.concat_tables(seen.samples)
    taken = samples.take(pa.array(found.position[query, rank]))
    columns = {
        "query": pa.array(query.astype(np.int32)),
        "uid": taken.column("uid"),
        "key": taken.column("key"),
        "similarity": pa.array(found.similarity[query, rank]),
    }
    return pa.table(columns, schema=NEIGHBOURS_SCHEMA)
