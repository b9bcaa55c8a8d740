"""Rows of a part beside their vectors, block by block, ready to be compared.

Reading, and bringing vectors into canonical form, happen ahead of whoever works on the blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from indexes.canonical import REASONS, Canonical, canonical
from indexes.stream import ahead
from pipeline.files.cursor import BLOCK, Cursor
from pipeline.files.parquet import read_batches, read_parquet
from pipeline.sets.parts import Part, Stored
from pipeline.sets.uids import as_pairs

QUARANTINED_SCHEMA = pa.schema(
    [("uid", pa.string()), ("key", pa.string()), ("row", pa.int64()), ("reason", pa.string())]
)
Lanes = Mapping[str, Stored]
"""Vectors by lane: `clip image` are the image embeddings of the encoder `clip`."""


def lane(encoder: str, kind: str) -> str:
    """Name the vectors of a kind that an encoder made."""
    return f"{encoder} {kind}"


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of a part that take part, in order.

    Attributes:
        table: Their columns; `uid`, `key` and `row` are among them.
        lanes: By lane, the `(m, d)` vectors of the rows that have one, with the mask that says which.
    """

    table: pa.Table
    lanes: Mapping[str, Canonical] = field(default_factory=dict)

    def healthy(self, lanes: Sequence[str]) -> NDArray[np.bool_]:
        """Say which rows have a vector in each of these lanes."""
        mask = np.ones(len(self.table), dtype=bool)
        for name in lanes:
            mask &= self.lanes[name].healthy
        return mask

    def vectors(self, name: str, mask: NDArray[np.bool_]) -> NDArray[np.float16]:
        """Take the vectors of a lane for the rows of `mask`, each of which has one."""
        found = self.lanes[name]
        if mask.sum() == len(found.vectors):
            return found.vectors
        return found.vectors[mask[found.healthy]]

    def samples(self, mask: NDArray[np.bool_]) -> pa.Table:
        """Take `uid` and `key` of the rows of `mask`."""
        table = self.table.select(["uid", "key"])
        return table if mask.all() else table.filter(pa.array(mask))

    def set_aside(self, name: str) -> pa.Table:
        """List the rows whose vector in a lane takes part in no comparison, with the reason."""
        found = self.lanes[name]
        bad = self.table.select(["uid", "key", "row"]).filter(pa.array(~found.healthy))
        reasons = [REASONS[code] for code in found.reasons[~found.healthy]]
        return bad.append_column("reason", pa.array(reasons, pa.string())).cast(QUARANTINED_SCHEMA)


class Pass:
    """One look at a part: its rows with their vectors, and then what was in the files."""

    def __init__(
        self, part: Part, lanes: Lanes, columns: Sequence[str] = (), noted: Mapping[str, str] | None = None
    ):
        """Prepare a pass; `noted` has the content of inputs that is known already, by their key."""
        self._part, self._lanes = part, lanes
        self._columns = list(dict.fromkeys(["uid", "key", "row", *columns]))
        known = noted or {}
        self._cursors = {
            name: Cursor(stored.files, digest=any(key not in known for key in _keys(stored)))
            for name, stored in lanes.items()
        }
        self._ended: dict[str, list[str]] = {}

    def blocks(self) -> Iterator[Rows]:
        """Stream the rows that take part; the next block is prepared while the caller works on this one."""
        return ahead(self._read())

    def _read(self) -> Iterator[Rows]:
        at, skip = 0, np.asarray(self._part.skip, dtype=np.int64)
        try:
            for batch in read_batches(Path(self._part.samples), self._columns, BLOCK):
                table = pa.Table.from_batches([batch])
                rows = table.column("row").to_numpy()
                places = np.arange(at, at + len(table))
                at += len(table)
                if len(skip):
                    stays = ~np.isin(rows, skip)
                    table, rows, places = table.filter(pa.array(stays)), rows[stays], places[stays]
                if len(table):
                    yield Rows(table, self._vectors(rows, places))
            self._ended = {name: cursor.contents() for name, cursor in self._cursors.items()}
        finally:
            for cursor in self._cursors.values():
                cursor.close()

    def _vectors(self, rows: NDArray[np.int64], places: NDArray[np.int64]) -> dict[str, Canonical]:
        return {
            name: canonical(self._cursors[name].take(rows if stored.by_row else places))
            for name, stored in self._lanes.items()
        }

    def contents(self) -> dict[str, str]:
        """Say what was in the user's vector files, by key; asked when the blocks have ended."""
        found: dict[str, str] = {}
        for name, stored in self._lanes.items():
            if stored.names and self._ended.get(name):
                found |= dict(zip(_keys(stored), self._ended[name], strict=True))
        return found


def _keys(stored: Stored) -> list[str]:
    """Name the user's files among a part's vectors as the ledger does."""
    return [f"{file.path}::{file.array or ''}" for file in stored.files] if stored.names else []


def pairs(table: pa.Table) -> NDArray[np.uint64]:
    """Read the uids of a table's rows as `(m, 2)` uint64."""
    return as_pairs(table.column("uid"))


def count_reasons(tables: Sequence[pa.Table]) -> dict[str, int]:
    """Count rows that were set aside by reason; every reason is named."""
    counts = {reason: 0 for reason in REASONS if reason}
    for table in tables:
        for reason in table.column("reason").to_pylist():
            counts[reason] += 1
    return counts


def whole_columns(path: str, names: Sequence[str]) -> dict[str, Any]:
    """Read columns of a measure's part whole; they are numbers, and one part is not long."""
    table = read_parquet(Path(path), columns=list(names))
    return {name: table.column(name).combine_chunks() for name in names}
