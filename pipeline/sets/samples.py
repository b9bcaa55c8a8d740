"""The `samples/` table: one row per readable sample of a set, whatever format it came in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from indexes.errors import DataError
from pipeline.files.parquet import read_parquet
from pipeline.files.vectors import VectorFile, blocks

Array = NDArray[Any]

# Columns that every part has; a pool's own column of such a name means the same thing or is renamed.
OWN_NAMES = ("uid", "part", "row", "key", "url", "caption", "label", "image_sha256")
LOST_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("uid", pa.uuid()),
        ("url", pa.string()),
        ("caption", pa.string()),
        ("outcome", pa.string()),
        ("reason", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class Part:
    """One committed part of a set: its rows and where their vectors lie.

    Attributes:
        samples: Path of `samples/<set>/part-NNNN.parquet`.
        vectors: The vector file that the `row` column points into, or None where no vectors are needed.
        skip: Rows (values of `row`) that are repeated uids and take no part.
    """

    samples: str
    vectors: VectorFile | None
    skip: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Describe the part in JSON."""
        return asdict(self)

    @staticmethod
    def from_json(described: dict[str, Any]) -> Part:
        """Read what `to_json` wrote."""
        vectors = described["vectors"]
        return Part(
            described["samples"],
            None if vectors is None else VectorFile(**vectors),
            tuple(described["skip"]),
        )


def part_table(part: Part, columns: list[str]) -> pa.Table:
    """Read columns of a part, without its skipped rows; `row` is always among them."""
    wanted = columns if "row" in columns else [*columns, "row"]
    table = read_parquet(Path(part.samples), columns=wanted)
    if not part.skip:
        return table
    skipped = np.isin(table.column("row").to_numpy(), np.asarray(part.skip, dtype=np.int64))
    return table.filter(pa.array(~skipped))


def part_blocks(part: Part, columns: list[str], rows_per_block: int) -> Iterator[tuple[pa.Table, Array]]:
    """Stream a part's rows beside their vectors.

    Args:
        part: The part; it must have vectors.
        columns: Columns of `samples/` to give for each row.
        rows_per_block: Vectors read at a time.

    Yields:
        A table of m rows and the `(m, d)` vectors of those rows, as stored; at least one, be it empty.

    Raises:
        DataError: If the part has no vectors, or a row points past their end.
    """
    if part.vectors is None:
        raise DataError(f"{part.samples} has no vectors to measure; give the plan an encoder, or embeddings")
    table = part_table(part, columns)
    rows = table.column("row").to_numpy()
    if len(rows) and rows[-1] >= part.vectors.rows:
        raise DataError(
            f"{part.vectors.path} holds {part.vectors.rows} vectors, but {part.samples} names row {rows[-1]}; "
            "vectors and metadata are out of step: pair the right files"
        )
    start, empty = 0, True
    for block in blocks(part.vectors, rows_per_block):
        stop = start + len(block)
        first, last = np.searchsorted(rows, [start, stop])
        if last > first:
            inside = rows[first:last] - start
            whole = last - first == len(block)
            yield table.slice(first, last - first), block if whole else block[inside]
            empty = False
        start = stop
    if empty:
        yield table.slice(0, 0), np.empty((0, part.vectors.width), np.dtype(part.vectors.dtype))
