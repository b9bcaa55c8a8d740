"""The join of a user's table with the pool's samples, out of core; every row of the table is counted once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from curation.measures.told._told import TOLD_SCHEMA
from pipeline.files.database import files
from pipeline.plan.told_tables import ToldColumns, told_pairs
from pipeline.sets.parts import Part

ROWS = 500_000
"""Rows that are handed to the database at once."""
_NAMED = "name IS NOT NULL AND trim(name) <> '' AND tag IS NOT NULL AND trim(tag) <> ''"
_SURE = "coalesce(TRY_CAST(probability AS DOUBLE) BETWEEN 0 AND 1, false)"  # NaN is above every number
_COUNTS = f"SELECT count(*), count(*) FILTER (NOT ({_NAMED})), count(*) FILTER ({_NAMED} AND NOT {_SURE}) FROM incoming"  # noqa: S608
_TAKE = (
    f"INSERT INTO pairs SELECT {{name}}, tag, TRY_CAST(probability AS DOUBLE) FROM incoming "  # noqa: S608
    f"WHERE {_NAMED} AND {_SURE}"
)
_SAMPLES = """
CREATE TABLE samples AS SELECT name, part, "row" FROM (
    SELECT {name} AS name, part, "row" FROM read_parquet($samples, hive_partitioning = false)
) ANTI JOIN skipped USING (part, "row") SEMI JOIN pairs USING (name)
"""
_SEVERAL = "CREATE TABLE several AS SELECT name FROM samples GROUP BY name HAVING count(*) > 1"
_ONCE = """
CREATE TABLE told AS SELECT part, "row", tag, max(probability) AS probability, count(*) AS times
FROM pairs JOIN (SELECT * FROM samples ANTI JOIN several USING (name)) USING (name) GROUP BY part, "row", tag
"""


def load_pairs(db: Any, path: str, columns: ToldColumns) -> dict[str, int]:
    """Bring a table's usable rows in, as the table `pairs`; count all rows, and those that are not usable."""
    name = "TRY_CAST(name AS UUID)" if columns.by == "uid" else "name"
    db.execute(
        f"CREATE TABLE pairs (name {'UUID' if columns.by == 'uid' else 'VARCHAR'}, tag VARCHAR, probability DOUBLE)"
    )
    counts = {"rows": 0, "incomplete": 0, "improbable": 0}
    for table in _gathered(told_pairs(path, columns)):
        db.register("incoming", table)
        found = db.execute(_COUNTS).fetchall()[0]
        counts = {what: counts[what] + more for what, more in zip(counts, found, strict=True)}
        db.execute(_TAKE.format(name=name))
        db.unregister("incoming")
    return counts


def join(db: Any, columns: ToldColumns, parts: Sequence[Part]) -> dict[str, int]:
    """Find the samples that `pairs` names, as the table `told` of distinct pairs; count what finds none."""
    skipped = pa.table(
        {
            "part": pa.array([part.number for part in parts for _ in part.skip], pa.int32()),
            "row": pa.array([row for part in parts for row in part.skip], pa.int64()),
        }
    )
    db.register("skipped", skipped)
    name = "uid::UUID" if columns.by == "uid" else "key"
    db.execute(_SAMPLES.format(name=name), {"samples": files(part.samples for part in parts)})
    db.execute(_SEVERAL)
    db.execute(_ONCE)
    unknown = "SELECT count(*) FROM pairs ANTI JOIN samples USING (name)"
    several = "SELECT count(*) FROM pairs SEMI JOIN several USING (name)"
    doubled = "SELECT coalesce(sum(times - 1), 0)::BIGINT, count(*) FROM told"
    again, pairs = db.execute(doubled).fetchall()[0]
    return {
        "unknown": db.execute(unknown).fetchall()[0][0],
        "ambiguous": db.execute(several).fetchall()[0][0],
        "doubled": again,
        "pairs": pairs,
    }


def told_of(db: Any, parts: Sequence[Part], rows_of: Any) -> Iterator[tuple[Part, pa.Table]]:
    """Give each part what is said of its rows, in their order, as `TOLD_SCHEMA`.

    Args:
        db: With the table `told`.
        parts: The parts.
        rows_of: Gives the values of `row` of a part's rows that take part, in order.
    """
    ordered = db.sql('SELECT part, "row", tag, probability FROM told ORDER BY part, "row", tag')
    pieces = _by_part(ordered.to_arrow_reader(ROWS))
    number, found = next(pieces, (None, None))
    for part in sorted(parts, key=lambda each: each.number):
        mine = None
        if number == part.number:
            mine = found
            number, found = next(pieces, (None, None))
        yield part, _laid_out(mine, rows_of(part))


def _by_part(batches: Iterable[Any]) -> Iterator[tuple[int, pa.Table]]:
    """Put together what belongs to one part; batches are in the order of parts."""
    held: list[pa.Table] = []
    current: int | None = None
    for batch in batches:
        table = pa.Table.from_batches([batch])
        numbers = table.column("part").to_numpy()
        starts = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]
        for start, stop in pairwise(starts):
            if start == stop:
                continue
            if current is not None and numbers[start] != current:
                yield current, pa.concat_tables(held)
                held = []
            current = int(numbers[start])
            held.append(table.slice(start, stop - start))
    if current is not None:
        yield current, pa.concat_tables(held)


def _laid_out(found: pa.Table | None, rows: np.ndarray[Any, Any]) -> pa.Table:
    """Make lists of a part's pairs, one for each row that takes part; NULL where nothing is said of it."""
    if found is None:
        return pa.table(
            {name: pa.nulls(len(rows), TOLD_SCHEMA.field(name).type) for name in TOLD_SCHEMA.names}
        )
    whole = found.combine_chunks()
    own, starts = np.unique(whole.column("row").to_numpy(), return_index=True)
    offsets = pa.array(np.append(starts, len(whole)).astype(np.int32))
    place = np.searchsorted(own, rows)
    there = own[np.minimum(place, len(own) - 1)] == rows
    take = pa.array(np.where(there, place, 0), mask=~there)
    lists = {
        "tags": pa.ListArray.from_arrays(offsets, whole.column("tag").combine_chunks().cast(pa.string())),
        "probabilities": pa.ListArray.from_arrays(offsets, whole.column("probability").combine_chunks()),
    }
    return pa.table({name: lists[name].take(take) for name in TOLD_SCHEMA.names}, schema=TOLD_SCHEMA)


def _gathered(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Put small tables together: the database takes long over each, however few its rows."""
    waiting: list[pa.Table] = []
    for table in tables:
        if waiting and waiting[-1].schema != table.schema:  # a block of JSON lines may lack the probability
            yield pa.concat_tables(waiting)
            waiting = []
        waiting.append(table)
        if sum(map(len, waiting)) >= ROWS:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)
