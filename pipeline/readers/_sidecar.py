"""Metadata of a tar's samples: from the Parquet sidecar, joined by key, else from their own json and txt."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from indexes.errors import DataError
from pipeline.readers._contract import Shard, ShardRows
from pipeline.readers._described import ROLES, described
from pipeline.readers._tars.tar_samples import Sample
from pipeline.sets import columns, uids

Flags: TypeAlias = NDArray[np.bool_]

SUCCESS = "success"
_NAMED = 5


def has_captions(raw: pa.Table) -> bool:
    """Tell whether a sidecar brings the captions, so that nobody needs each sample's own."""
    return columns.find(raw.column_names, columns.ALIASES["caption"]) is not None


def join(
    samples: list[Sample], sidecar: str, raw: pa.Table, shard: Shard, holder: str
) -> tuple[ShardRows, dict[str, int]]:
    """Put the sidecar's columns to the tar's samples, and the sidecar's failures to the lost rows.

    Samples of one key are paired with the sidecar's rows of that key in order; where it has fewer, its last
    one serves them all.

    Args:
        samples: The tar's; with their texts where the sidecar brings no captions.
        sidecar: Its path, for messages.
        raw: Its rows.
        shard: The shard of both.
        holder: What holds the samples, for messages: `the tar '…'`.

    Returns:
        The rows, and how many rows and successes the sidecar lists.

    Raises:
        DataError: If the holder lacks what the sidecar calls a success, or holds what the sidecar does not list.
    """
    if columns.find(raw.column_names, columns.KEY_NAMES) is None:
        raise DataError(
            f"'{sidecar}' has no column 'key', only {_list(raw.column_names)}, so no row finds its image. "
            "Add it, or take the file away: a tar needs no other file"
        )
    listed = _as_held(_padded(columns.samples(raw, shard.name, sidecar), raw, samples), samples)
    worked, reasons = read_outcomes(raw, sidecar)
    places = _places(samples, _successes(listed, worked), sidecar, holder)
    readable = [sample for sample in samples if sample.fault is None]
    table = renumbered(_take(listed, readable, places))
    odd: Counter[str] = Counter()
    if not has_captions(raw):
        captions = [described(sample.texts, odd)["caption"] for sample in readable]
        place = table.column_names.index("caption")
        table = table.set_column(place, "caption", pa.array(captions, pa.string()))
    faulty = [sample for sample in samples if sample.fault is not None]
    lost = [
        columns.lost(
            identified(listed.filter(pa.array(~worked)), shard), [columns.FAILED] * len(reasons), reasons
        ),
        _quarantined(_take(listed, faulty, places), faulty, shard),
    ]
    found = ShardRows.whole(identified(table, shard), pa.concat_tables(lost), odd)
    found = replace(found, notes=columns.taken_otherwise(raw.schema))
    return found, {"count": len(raw), "successes": int(worked.sum())}


def from_members(samples: list[Sample], shard: Shard) -> ShardRows:
    """Describe the samples by their own json and txt."""
    odd: Counter[str] = Counter()
    found = [described(sample.texts, odd) for sample in samples]
    roles = [role for role in ROLES if role != "uid" or any(one["uid"] is not None for one in found)]
    raw = pa.table(
        {"key": pa.array([sample.key for sample in samples], pa.string())}
        | {role: pa.array([one[role] for one in found], pa.string()) for role in roles}
    )
    listed = columns.samples(raw, shard.name, shard.files[0])
    readable = pa.array([sample.fault is None for sample in samples], pa.bool_())
    faulty = [sample for sample in samples if sample.fault is not None]
    return ShardRows.whole(
        identified(renumbered(listed.filter(readable)), shard),
        _quarantined(listed.filter(pc.invert(readable)), faulty, shard),
        odd,
    )


def _padded(listed: pa.Table, raw: pa.Table, samples: list[Sample]) -> pa.Table:
    """Write keys that the sidecar holds as numbers with the zeros that the tar's names have.

    pandas reads a column of digits as integers, and writes it back as such.
    """
    place = columns.find(raw.column_names, columns.KEY_NAMES)
    if place is None or not pa.types.is_integer(raw.column(place).type):
        return listed
    numbered = [sample.key for sample in samples if sample.key.isascii() and sample.key.isdecimal()]
    names = {int(key): key for key in numbered}
    # Failed rows are in no tar: they get the width that all others have.
    widths = {len(key) for key in numbered}
    width = widths.pop() if len(widths) == 1 else 0
    keys = [
        None if number is None else names.get(number, f"{number:0{width}d}")
        for number in raw.column(place).to_pylist()
    ]
    position = listed.column_names.index("key")
    named = pc.coalesce(pa.array(keys, pa.string()), listed.column("key"))
    return listed.set_column(position, "key", named)


def _as_held(listed: pa.Table, samples: list[Sample]) -> pa.Table:
    """Write keys as the holder of the samples spells them, where they differ as `columns.loose` allows."""
    known = set(listed["key"].to_pylist())
    spelled = {columns.loose(sample.key): sample.key for sample in samples if sample.key not in known}
    if not spelled:
        return listed
    held = {sample.key for sample in samples}
    keys = [key if key in held else spelled.get(columns.loose(key), key) for key in listed["key"].to_pylist()]
    return listed.set_column(listed.column_names.index("key"), "key", pa.array(keys, pa.string()))


def read_outcomes(raw: pa.Table, path: str) -> tuple[Flags, list[str]]:
    """Tell which rows are successes, and why the others are not; without a status all are.

    Args:
        raw: The rows that the producer lists.
        path: Their file, for messages.

    Raises:
        DataError: If status or error_message are not text.
    """
    try:
        return _outcomes(raw)
    except pa.ArrowInvalid as error:
        raise DataError(
            f"'{path}': status and error_message must be text, but of one {error}. Fetch or write the shard again"
        ) from error


def _outcomes(raw: pa.Table) -> tuple[Flags, list[str]]:
    place = columns.find(raw.column_names, ("status",))
    if place is None:
        return np.ones(len(raw), dtype=bool), []
    status = columns.text(raw.column(place)).to_pylist()
    worked = np.array([value == SUCCESS for value in status], dtype=bool)
    message = columns.find(raw.column_names, ("error_message",))
    errors = columns.text(raw.column(message)).to_pylist() if message is not None else [None] * len(raw)
    reasons = [
        f"{state or 'no status'}: {error}" if error else state or "no status"
        for state, error in zip(status, errors, strict=True)
        if state != SUCCESS
    ]
    return worked, reasons


def _successes(listed: pa.Table, worked: Flags) -> dict[str, list[int]]:
    """Rows of each key that the sidecar calls a success."""
    rows: dict[str, list[int]] = {}
    keys = listed["key"].to_pylist()
    for row in np.flatnonzero(worked).tolist():
        rows.setdefault(keys[row], []).append(row)
    return rows


def _places(
    samples: list[Sample], successes: dict[str, list[int]], sidecar: str, holder: str
) -> dict[int, int | None]:
    """Find the sidecar's row of each sample, by `id`; None for an unreadable sample that it lacks."""
    present = Counter(sample.key for sample in samples)
    missing = [key for key, rows in successes.items() if len(rows) > present[key]]
    if missing:
        raise DataError(
            f"{holder} is truncated or not of this download: its sidecar '{sidecar}' lists "
            f"{len(missing):,} successes that it lacks ({_list(missing)}). Fetch or write the shard again"
        )
    unknown = [sample.key for sample in samples if sample.fault is None and sample.key not in successes]
    if unknown:
        raise DataError(
            f"{holder} holds {len(unknown):,} samples that its sidecar '{sidecar}' does not list as a "
            f"success ({_list(unknown)}); the two are not of one download. Fetch or write the shard again"
        )
    used: Counter[str] = Counter()
    places: dict[int, int | None] = {}
    for sample in samples:
        rows = successes.get(sample.key)
        places[id(sample)] = rows[min(used[sample.key], len(rows) - 1)] if rows else None
        used[sample.key] += 1
    return places


def _take(listed: pa.Table, samples: list[Sample], places: dict[int, int | None]) -> pa.Table:
    """Rows of the samples; one that the sidecar lacks has nulls."""
    return listed.take(pa.array([places[id(sample)] for sample in samples], pa.int64()))


def identified(table: pa.Table, shard: Shard) -> pa.Table:
    """Give uids to samples that have neither url nor uid: their keys often start again in every shard.

    The uid of such a sample is derived from `<shard>/<key>`; that of one with a url as `uids.derive` says.
    """
    lacking = pc.fill_null(pc.equal(table["url"], ""), True)
    if "uid" in table.column_names or not pc.any(lacking, min_count=0).as_py():
        return table
    found = uids.resolve(table, shard.name, columns.plain_text(shard.name))
    return table.append_column("uid", found["uid"])


def _quarantined(rows: pa.Table, samples: list[Sample], shard: Shard) -> pa.Table:
    keys = pa.array([sample.key for sample in samples], pa.string())
    named = rows.set_column(rows.column_names.index("key"), "key", keys)
    return columns.lost(
        identified(named, shard),
        [columns.QUARANTINED] * len(samples),
        [sample.fault or "" for sample in samples],
    )


def renumbered(table: pa.Table) -> pa.Table:
    """Number the rows again: `row` counts the samples that there are."""
    return table.set_column(0, "row", pa.array(np.arange(len(table), dtype=np.int64)))


def _list(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(ascii(name) for name in names[:_NAMED]) + more
