"""Columns of many producers under few names: who writes `URL`, who `url`, and what becomes of the rest.

LAION writes URL and TEXT, img2dataset url and caption, clip-retrieval image_path and caption, DataComp url
and text. Columns are matched by name, never by position, and in any case of letters.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from indexes.errors import DataError
from pipeline.sets import uids
from pipeline.sets.held_types import held_type
from pipeline.sets.plain_text import first_texts, holds_lists_of_text
from pipeline.sets.plain_text import loose as loose
from pipeline.sets.plain_text import plain_text as plain_text
from pipeline.sets.plain_text import text as text
from pipeline.sets.samples import LOST_SCHEMA, OWN_NAMES

ArrowArray: TypeAlias = Any

KEY_NAMES = ("key", "image_path", "__key__", "sample_id")
ALIASES: dict[str, tuple[str, ...]] = {
    "key": KEY_NAMES,
    "url": ("url", "image_url"),
    "caption": ("caption", "text", "txt"),
    "label": ("label",),
    "uid": ("uid",),
}
FAILED = "failed"
TEXT = pa.string()
QUARANTINED = "quarantined"


def find(names: Sequence[str], aliases: Iterable[str]) -> int | None:
    """Position of the first alias among column names, in any case of letters; the exact spelling comes first."""
    for alias in aliases:
        if alias in names:
            return names.index(alias)
        for position, name in enumerate(names):
            if name.lower() == alias:
                return position
    return None


def samples(
    raw: pa.Table,
    shard: str,
    where: str,
    keys: tuple[str, ...] = KEY_NAMES,
    first: int = 0,
    copies: Collection[int] | None = None,
) -> pa.Table:
    """Bring a pool's metadata into the columns of `samples/`, without uid and part.

    Args:
        raw: The pool's own columns, one row per sample.
        shard: Name of the shard; a row that brings no key is called by it and its number, `part-0-17`.
        where: File name for messages.
        keys: Names of the key column, the likeliest first.
        first: Number of the first row, where `raw` is a piece of the shard.
        copies: What `copied` says of the whole shard; None where `raw` is the whole.

    Returns:
        row, key, url, caption, label, then `uid` (32 hex digits) where the pool brings one, then the pool's
        own columns.

    Raises:
        DataError: If a text column holds something else, or the uid is not 128-bit hex throughout.
    """
    places, columns = roles(raw, shard, where, keys, first)
    left_out = copied(raw, columns) if copies is None else copies
    taken = {place for place in places.values() if place is not None} | set(left_out)
    for name, column in _own_columns(raw, taken, where):
        columns[name] = column
    return pa.table(columns)


def places_of(names: Sequence[str], keys: tuple[str, ...]) -> dict[str, int | None]:
    """Find the column of each role."""
    return {role: find(names, keys if role == "key" else known) for role, known in ALIASES.items()}


def roles(
    raw: pa.Table, shard: str, where: str, keys: tuple[str, ...], first: int
) -> tuple[dict[str, int | None], dict[str, ArrowArray]]:
    """Find the place of each role's column, and the columns that the roles give; arguments as of `samples`."""
    places = places_of(raw.column_names, keys)
    texts = {role: _role(raw, place, role, where) for role, place in places.items() if role != "uid"}
    numbers = pa.array(np.arange(first, first + len(raw), dtype=np.int64))
    columns = {"row": numbers, **texts, "key": _every_key(texts["key"], shard, numbers)}
    own_uid = _own_uid(raw, places["uid"], where)
    if own_uid is not None:
        columns["uid"] = own_uid
    else:
        places["uid"] = None
    return places, columns


def taken_otherwise(schema: pa.Schema) -> tuple[str, ...]:
    """Note what of a producer's columns is taken in another way than it stands there."""
    place = find(schema.names, ALIASES["caption"])
    if place is None or not holds_lists_of_text(schema.types[place]):
        return ()
    return (
        f"column '{plain_text(schema.names[place])}' holds lists of captions, of which the first is taken",
    )


def copied(raw: pa.Table, columns: dict[str, ArrowArray]) -> set[int]:
    """Find the columns that repeat, under its name, one that has a role: they are left out."""
    found = set()
    for place, name in enumerate(raw.column_names):
        column, same = raw.column(place), columns.get(name.lower())
        if same is not None and pa.types.is_string(column.type):
            whole = pa.chunked_array([same]) if isinstance(same, pa.Array) else same
            found |= {place} if column.equals(whole) else set()
    return found


def lost(rows: pa.Table, outcomes: Sequence[str], reasons: Sequence[str]) -> pa.Table:
    """Build the table of rows that did not make it.

    Args:
        rows: Columns key, url, caption and perhaps uid (hex) of those rows.
        outcomes: "failed" or "quarantined", per row.
        reasons: Why, per row.
    """
    if "uid" in rows.column_names:
        known = rows["uid"].is_valid()
        rows = rows.set_column(rows.column_names.index("uid"), "uid", pc.fill_null(rows["uid"], "0" * 32))
    else:
        # Nothing to derive from: better no uid than the same one for all such rows.
        known = pc.or_(rows["key"].is_valid(), pc.fill_null(pc.not_equal(rows["url"], ""), False))
    found = uids.resolve(rows, "rows that are lost")["uid"].combine_chunks()
    columns = {
        "key": rows["key"],
        "uid": pc.if_else(known.combine_chunks(), found, None),
        "url": rows["url"],
        "caption": rows["caption"],
        "outcome": pa.array(outcomes, pa.string()),
        "reason": pa.array(reasons, pa.string()),
    }
    return pa.table(columns, schema=LOST_SCHEMA)


def no_loss() -> pa.Table:
    """Make the empty table of lost rows."""
    return LOST_SCHEMA.empty_table()


def _role(raw: pa.Table, place: int | None, role: str, where: str) -> ArrowArray:
    if place is None:
        return pa.nulls(len(raw), pa.string())
    column = raw.column(place)
    try:
        return text(first_texts(column) if role == "caption" and holds_lists_of_text(column.type) else column)
    except pa.ArrowInvalid as error:
        name = plain_text(raw.column_names[place])
        raise DataError(
            f"'{where}': column '{name}' should hold the {role} of each sample as text, but {error}. "
            "Rename the column, or convert it"
        ) from None


def _every_key(column: ArrowArray, shard: str, numbers: ArrowArray) -> ArrowArray:
    if not column.null_count:
        return column
    rows = numbers.cast(pa.string())
    return pc.coalesce(column, pc.binary_join_element_wise(pa.scalar(plain_text(shard)), rows, "-"))


def _own_uid(raw: pa.Table, place: int | None, where: str) -> ArrowArray | None:
    """Read the pool's own uid as lowercase hex, or None where it brings none; a number is no such uid."""
    if place is None:
        return None
    column = raw.column(place)
    if column.type in (pa.uuid(), uids.UUID.storage_type) and not column.null_count:
        storage = column.combine_chunks()
        return uids.as_hex(storage if column.type == pa.uuid() else storage.cast(pa.uuid()))
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return None
    try:
        return uids.as_hex(uids.from_hex(text(column)))
    except DataError as error:
        raise DataError(f"'{where}': {error}") from None


def _own_columns(raw: pa.Table, taken: set[int], where: str) -> Iterable[tuple[str, ArrowArray]]:
    """Pass on what has no role, under its own name unless that name is nearfar's or is there already.

    DuckDB, which reads these files, folds case, refuses an empty name and cuts a name at a NUL.
    """
    used = {name.lower() for name in OWN_NAMES}
    for place, name in enumerate(raw.column_names):
        column = raw.column(place)
        # A number that went into a column of text, like SAMPLE_ID, also stays a number, and a list a list.
        if place in taken and not pa.types.is_integer(column.type) and not holds_lists_of_text(column.type):
            continue
        shown = plain_text(name).replace("\0", "\ufffd")
        if not shown or shown.lower() in used:
            shown = f"pool_{shown}"
        unique = next(c for c in _numbered(shown) if c.lower() not in used)
        used.add(unique.lower())
        yield unique, _checked(column, unique, where)


def _checked(column: ArrowArray, name: str, where: str) -> ArrowArray:
    """Check and adapt a column so that DuckDB takes it; nobody holds a Parquet file to its claim that text is UTF-8."""
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return text(column)
    try:
        column.validate(full=True)
    except pa.ArrowInvalid as error:
        raise DataError(
            f"'{where}': column '{name}' is damaged ({error}). Fetch or write the file again"
        ) from None
    held = held_type(kind)
    return column if held == kind else column.cast(held)


def _numbered(name: str) -> Iterable[str]:
    yield name
    number = 2
    while True:
        yield f"{name}_{number}"
        number += 1
