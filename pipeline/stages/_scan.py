"""One pass of a part's vectors through a scanner: what every stage that reads vectors shares."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from indexes.canonical import REASONS, canonical
from indexes.scores import Scores
from indexes.search import Scanner
from pipeline.samples import Part, part_blocks
from pipeline.uids import as_pairs
from pipeline.work import Json

# Rows read at a time. It bounds memory and decides nothing.
BLOCK = 65_536
NEIGHBOURS_SCHEMA = pa.schema(
    [("query", pa.int32()), ("uid", pa.uuid()), ("key", pa.string()), ("similarity", pa.float64())]
)
QUARANTINED_SCHEMA = pa.schema([("uid", pa.uuid()), ("key", pa.string()), ("reason", pa.string())])


@dataclass(slots=True)
class Seen:
    """What a pass leaves behind beside the scores.

    Attributes:
        samples: `uid` and `key` of the samples that were compared, in stream order.
        quarantined: `uid`, `key` and `reason` of those whose vector cannot be compared.
        normalised: Vectors that came unnormalised.
    """

    samples: list[pa.Table] = field(default_factory=list)
    quarantined: list[pa.Table] = field(default_factory=list)
    normalised: int = 0

    def facts(self) -> Json:
        """Count by outcome, for the unit's record."""
        counts = {reason: 0 for reason in REASONS if reason}
        for table in self.quarantined:
            for reason in table.column("reason").to_pylist():
                counts[reason] += 1
        compared = sum(len(table) for table in self.samples)
        return {"compared": compared, "quarantined": counts, "normalised": self.normalised}


def healthy_blocks(
    part: Part, seen: Seen, columns: Sequence[str] = ("uid", "key")
) -> Iterator[tuple[pa.Table, NDArray[np.float16]]]:
    """Stream a part's comparable samples with their canonical vectors, noting them and the others in `seen`.

    `columns` are those of `samples/` to give for each; `uid` and `key` are among them.
    """
    for table, block in part_blocks(part, list(columns), BLOCK):
        result = canonical(block)
        seen.quarantined.append(quarantined(table, result.healthy, result.reasons))
        seen.normalised += result.normalised
        samples = table.select(list(columns))
        if len(result.vectors) < len(samples):
            samples = samples.filter(pa.array(result.healthy))
        seen.samples.append(samples)
        yield samples, result.vectors


def quarantined(table: pa.Table, healthy: NDArray[np.bool_], reasons: NDArray[Any]) -> pa.Table:
    """List the rows whose vector takes part in no comparison, with the reason."""
    bad = table.select(["uid", "key"]).filter(pa.array(~healthy))
    return bad.append_column("reason", pa.array([REASONS[code] for code in reasons[~healthy]], pa.string()))


def scan_part(part: Part, search: Scanner, seen: Seen) -> Iterator[tuple[pa.Table, Scores]]:
    """Score a part block by block, in stream order."""
    for samples, vectors in healthy_blocks(part, seen):
        yield samples, search.scan(vectors, as_pairs(samples.column("uid")))


def neighbour_table(search: Scanner, seen: Seen) -> pa.Table:
    """List each query's nearest samples of what `search` has seen, by query and then nearest first."""
    found = search.neighbours()
    query, rank = np.nonzero(found.position >= 0)
    samples = pa.concat_tables(seen.samples) if seen.samples else QUARANTINED_SCHEMA.empty_table()
    taken = samples.take(pa.array(found.position[query, rank]))
    columns = {
        "query": pa.array(query.astype(np.int32)),
        "uid": taken.column("uid"),
        "key": taken.column("key"),
        "similarity": pa.array(found.similarity[query, rank]),
    }
    return pa.table(columns, schema=NEIGHBOURS_SCHEMA)
