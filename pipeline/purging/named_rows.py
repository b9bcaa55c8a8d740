"""Which rows of a finished run a user's lists name; no entry of a list is shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from curation.measures.told._deny_lists import KINDS, Kind, deny_list, hit, list_digest
from curation.measures.told.listed import LOOKED_AT
from indexes.errors import PlanError
from pipeline import layout
from pipeline.commit import Record
from pipeline.files.parquet import parquet_schema, read_batches
from pipeline.sets.tombstones import stone, stone_of_lost

_LOST: Sequence[Kind] = ("uid", "url", "host")
"""Kinds that a lost row can be looked up by."""


@dataclass(slots=True)
class NamedRows:
    """What lists name.

    Attributes:
        stones: Hashes of the samples' names.
        samples: By set, samples that are named.
        lost: By set, lost rows that are named.
        unknown: By kind, samples that have no such value, so that the list cannot tell of them.
    """

    stones: set[bytes] = field(default_factory=set)
    samples: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)


def read_lists(paths: Mapping[str, str]) -> dict[Kind, frozenset[str]]:
    """Read the lists, by kind.

    Raises:
        PlanError: If there is none, one is of an unknown kind, cannot be read, or holds what is not of its kind.
    """
    unknown = sorted(set(paths) - set(KINDS))
    if unknown or not paths:
        named = f"unknown list '{unknown[0]}'" if unknown else "no list is named"
        raise PlanError(f"{named}; give --list KIND=FILE with one of: {', '.join(KINDS)}")
    of = (kind for kind in KINDS if kind in paths)
    return {
        kind: deny_list(kind, paths[kind], list_digest(paths[kind], f"--list {kind}"), f"--list {kind}")
        for kind in of
    }


def look(out: Path, parts: Sequence[Record], lists: Mapping[Kind, frozenset[str]]) -> NamedRows:
    """Look every row of every set up; one that is named twice counts twice.

    Args:
        out: The output folder.
        parts: Records of parts that were read.
        lists: As `read_lists` gives them.
    """
    # A uid that no row has is kept out as well: it may come with a later shard, or have been purged before.
    found = NamedRows({stone("uid", uid) for uid in lists.get("uid", ())})
    for record in parts:
        name, number = record.facts["part"]
        samples = out / layout.samples(name, number)
        there = parquet_schema(samples).names
        looked_at = {kind: "uid" if kind == "uid" else LOOKED_AT[kind] for kind in lists}
        columns = [column for column in dict.fromkeys(["uid", *looked_at.values()]) if column in there]
        for batch in read_batches(samples, columns):
            _samples(batch, name, lists, looked_at, found)
        for batch in read_batches(out / layout.lost(name, number), ["uid", "url"]):
            _lost(batch, name, lists, found)
    return found


def _samples(
    batch: pa.RecordBatch,
    name: str,
    lists: Mapping[Kind, frozenset[str]],
    looked_at: Mapping[Kind, str],
    found: NamedRows,
) -> None:
    uids = batch.column("uid").to_pylist()
    named = [False] * len(uids)
    for kind, denied in lists.items():
        column = looked_at[kind]
        there = column in batch.schema.names
        values = batch.column(column).cast(pa.string()).to_pylist() if there else [None] * len(uids)
        answers = [hit(kind, value, denied) for value in values]
        found.unknown[kind] += sum(answer is None for answer in answers)
        named = [before or bool(answer) for before, answer in zip(named, answers, strict=True)]
    found.stones |= {stone("uid", uid) for uid, of in zip(uids, named, strict=True) if of}
    found.samples[name] += sum(named)


def _lost(batch: pa.RecordBatch, name: str, lists: Mapping[Kind, frozenset[str]], found: NamedRows) -> None:
    for uid, url in zip(batch.column("uid").to_pylist(), batch.column("url").to_pylist(), strict=True):
        value: dict[Kind, str | None] = {"uid": uid, "url": url, "host": url}
        if any(kind in lists and hit(kind, value[kind], lists[kind]) for kind in _LOST):
            named = stone_of_lost(uid, url)
            found.stones |= set() if named is None else {named}
            found.lost[name] += 1
