"""Uids that occur more than once in a set: which rows, and whether they repeat a sample or no more than its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

REPEATS_SCHEMA = pa.schema([("part", pa.int32()), ("row", pa.int64()), ("uid", pa.string())])
Starts = Mapping[int, Sequence[tuple[str, int]]]
"""By part, its shards: the name of each, and the part's row at which it begins; ascending."""
_SHOWN = 3
_KINDS = {
    "sample": "repeat a sample (url and caption, or the image's bytes, are the same)",
    "key": "repeat a key, and no url tells the samples apart",
    "uid": "repeat a uid of the set's own under another key or url",
}


def repeated_rows(db: Any, parts: Sequence[str]) -> pa.Table:
    """Find the later rows of each repeated uid, ordered by (part, row): `keep_first` keeps the first of each."""
    query = """
        WITH rows AS (
            SELECT part, "row", uid::UUID AS uid FROM read_parquet($parts, hive_partitioning = false)
        ), repeated AS (
            SELECT uid FROM rows GROUP BY uid HAVING count(*) > 1
        )
        SELECT part, "row", replace(uid::VARCHAR, '-', '') AS uid FROM rows SEMI JOIN repeated USING (uid)
        QUALIFY row_number() OVER (PARTITION BY uid ORDER BY part, "row") > 1
        ORDER BY part, "row"
    """
    if not parts:
        return REPEATS_SCHEMA.empty_table()
    return db.sql(query, params={"parts": list(parts)}).to_arrow_table().cast(REPEATS_SCHEMA)


def repeats_message(db: Any, where: str, parts: Sequence[str], repeated: pa.Table, starts: Starts) -> str:
    """Say what repeats what, with examples, and what to do about each kind.

    Args:
        db: A connection.
        where: What messages call the set.
        parts: Its `samples/` files.
        repeated: What `repeated_rows` found; at least one row.
        starts: Which shards its parts are of.
    """
    db.register("later", repeated)
    query = """
        WITH rows AS (
            SELECT uid, part, "row", key, coalesce(url, '') AS url, coalesce(caption, '') AS caption, image_sha256
            FROM read_parquet($parts, hive_partitioning = false) SEMI JOIN later USING (uid)
        ), beside AS (
            SELECT rows.*, first(rows) OVER (PARTITION BY uid ORDER BY part, "row") AS before FROM rows
        )
        SELECT part, "row", key, before.part, before."row", before.key, CASE
            WHEN url <> '' AND url = before.url AND caption = before.caption THEN 'sample'
            WHEN image_sha256 = before.image_sha256 THEN 'sample'
            WHEN url = '' AND before.url = '' AND key IS NOT DISTINCT FROM before.key THEN 'key'
            ELSE 'uid' END AS kind
        FROM beside WHERE part <> before.part OR "row" <> before."row"
        ORDER BY part, "row"
    """
    found = db.sql(query, params={"parts": list(parts)}).fetchall()
    db.unregister("later")
    said = [_of_kind(kind, [pair for pair in found if pair[-1] == kind], starts) for kind in _KINDS]
    advice = "Set pool.duplicates: keep_first to keep the first of each, or clean the pool"
    if any(pair[-1] != "sample" for pair in found):
        advice = (
            "Where they are different samples, give each its own key, or a url or uid column; where they are the "
            "same, set pool.duplicates: keep_first, which keeps the first of each and drops the others"
        )
    return (
        f"{where} has {len(repeated):,} rows whose uid occurred before: {'; '.join(filter(None, said))}. "
        f"A uid names one sample. {advice}"
    )


def _of_kind(kind: str, pairs: list[tuple[Any, ...]], starts: Starts) -> str:
    if not pairs:
        return ""
    shown = [
        f"key {_key(pair[5])} {_place(pair[3], pair[4], starts)}, and "
        f"{'' if pair[2] == pair[5] else f'key {_key(pair[2])} '}{_place(pair[0], pair[1], starts)}"
        for pair in pairs[:_SHOWN]
    ]
    more = " …" if len(pairs) > _SHOWN else ""
    return f"{len(pairs):,} {_KINDS[kind]}, such as {'; '.join(shown)}{more}"


def _key(key: str | None) -> str:
    return "null" if key is None else ascii(key[:80])


def _place(part: int, row: int, starts: Starts) -> str:
    """Name the shard of a part's row, and the row in it."""
    before = [(name, first) for name, first in starts.get(part, ()) if first <= row]
    if not before:
        return f"(part {part}, row {row})"
    name, first = before[-1]
    return f"(shard {name}, row {row - first})"
