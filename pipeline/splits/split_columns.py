"""Which columns the files of a split have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from curation.expressions import quoted
from curation.selection import SOURCE
from pipeline.splits.pool_columns import TEXT, PoolColumn, PoolColumns

REPEAT = "repeat"
"""How often a sample occurs in `uids.npy` and `keys.txt`, where a rule repeats samples."""
REWRITTEN = "caption_rewritten"
"""The caption that a rule made, beside the sample's own `caption`."""
SOURCES = "source"
"""The set that a sample comes from, `pool` or a further one, where the split holds samples of such."""


@dataclass(frozen=True, slots=True)
class SplitColumn:
    """One column of a split's files: its name and type there, and the SQL that it comes from."""

    name: str
    type: Any
    sql: str


def split_columns(
    loaded: PoolColumns, named: PoolColumns, times: str, caption: str, several: bool = False
) -> list[SplitColumn]:
    """List the columns after `uid`: key, url, caption, what rules made, the pool's own, and the measures they name.

    Of a measure only the fields that the split's own rules name are written, so that a split's bytes do not depend on
    the splits that are cut beside it.

    Args:
        loaded: All that is in the table.
        named: What the split's rules name.
        times: SQL of the repeats, or empty.
        caption: SQL of the rewritten caption, or empty.
        several: Whether samples come from several sets.
    """
    made = [SplitColumn(SOURCES, pa.string(), SOURCE)] if several else []
    made += [SplitColumn(REPEAT, pa.int64(), times)] if times else []
    made += [SplitColumn(REWRITTEN, pa.string(), caption)] if caption else []
    carried = loaded.carried()
    texts = [_plain(column) for column in carried if column.stored in TEXT]
    own = [_plain(column) for column in carried if column.stored not in TEXT]
    taken = {column.name for column in made}
    own = [SplitColumn(f"pool_{c.name}" if c.name.lower() in taken else c.name, c.type, c.sql) for c in own]
    return [*texts, *made, *own, *(_measure(column) for column in named.measures.values())]


def _plain(column: PoolColumn) -> SplitColumn:
    return SplitColumn(column.name, column.type, quoted(column.raw))


def _measure(column: PoolColumn) -> SplitColumn:
    if not pa.types.is_struct(column.type):
        return SplitColumn(column.name, column.type, quoted(column.raw))
    fields = (f"{quoted(name)} := {quoted(column.raw)}.{quoted(name)}" for name in column.fields)
    return SplitColumn(column.name, column.type, f"struct_pack({', '.join(fields)})")
