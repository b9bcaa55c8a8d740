"""Remove what lists name from a finished run, and keep it out.

What is to go is written down first, as hashes. Then goes all that was computed from the rows of sets: the next run
makes it again of what is left. Then each part that has such a row is cut: its samples, its lost rows, its embeddings,
row by row, under records of their own. A purge that was killed is finished by the next one, or by the next run. On a
store all of that is done to its objects: what is to go, and what was, are joined with what others wrote there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from curation.measures.told._deny_lists import Kind
from indexes.errors import OutputError
from pipeline import layout
from pipeline.commit import (
    Attempt,
    Record,
    Unit,
    attempt,
    check_sound,
    forget,
    output_of,
    records,
    remove_unowned,
    retire,
    sweep,
)
from pipeline.commit.copying import keep_joined, sweep_objects
from pipeline.commit.holding import hold_output
from pipeline.commit.on_stores import bring_missing
from pipeline.execution.failpoints import failpoint
from pipeline.execution.work import Json
from pipeline.files.digests import sha256_of
from pipeline.files.parquet import read_batches
from pipeline.files.storage import output_errors, remove_file
from pipeline.purging.cut_embeddings import (
    PartName,
    cut_embedding,
    embeddings_of,
    part_of,
    unowned_embeddings,
)
from pipeline.purging.named_rows import NamedRows, look
from pipeline.sets.tombstones import PartFiles, Stones, add_tombstones, cut, holds_purged, stays, tombstones
from pipeline.stages import performing_names
from pipeline.stores.working_copies import place_of, store_of

KEPT = ("read", "embed")
"""Stages whose outputs are cut; those of all others go whole."""


@dataclass(frozen=True, slots=True)
class Purged:
    """What a purge came to.

    Attributes:
        named: What the lists named.
        parts: Parts that were cut.
    """

    named: NamedRows
    parts: int


def purge(out: Path, lists: Mapping[Kind, frozenset[str]]) -> Purged:
    """Remove what lists name; where no row of the run is named, what was made of them stands.

    Args:
        out: The output folder of a run.
        lists: Entries by kind, as `read_lists` gives them.

    Raises:
        OutputError: If there is no run, another process is at work on it, or the disk or the store refuses.
    """
    if not (out / layout.LOCK_FILE).is_file():
        raise OutputError(f"{place_of(out)} holds no run; name the output folder of one")
    with hold_output(out):
        sweep(out)
        parts = finish_purge(out)
        read = records(out, "read")
        _bring(out, read)
        named = look(out, read, lists)
        if named.stones:
            keep_joined(out, layout.PURGE, lambda before: _pending(_stones(out, before).union(named.stones)))
            failpoint("purge.pending")
            parts += finish_purge(out)
        return Purged(named, parts)


def finish_purge(out: Path) -> int:
    """Carry out a purge that was written down and not finished; return how many parts it cut.

    The caller holds the output.
    """
    tombstones(out)  # where they are damaged, nothing runs: what they kept out would come in again
    path = out / layout.PURGE
    pending = _stones(out, path.read_bytes() if path.is_file() else None)
    if not pending:
        return 0
    stones = add_tombstones(out, pending)
    failpoint("purge.tombstones")
    read = records(out, "read")
    _bring(out, read)
    hit = [record for record in read if holds_purged(_files(out, record), stones)]
    if hit:
        _remove_computed(out)
        failpoint("purge.retired")
    for record in hit:
        _cut_part(out, record, stones)
        failpoint("purge.part")
    _remove_leftovers(out, stones, {part_of(record) for record in hit})
    failpoint("purge.cut")
    _finished(out, pending)
    return len(hit)


def _bring(out: Path, parts: Iterable[Record]) -> None:
    """Have the rows of parts at hand, of an output on a store."""
    if store_of(out) is not None:
        check_sound(out, (one for record in parts for one in record.outputs if one.path.endswith(".parquet")))


def _pending(stones: Iterable[bytes]) -> bytes:
    return json.dumps({"tombstones": sorted(each.hex() for each in stones)}).encode()


def _stones(out: Path, content: bytes | None) -> Stones:
    if content is None:
        return frozenset()
    try:
        return frozenset(bytes.fromhex(each) for each in json.loads(content)["tombstones"])
    except (ValueError, KeyError, TypeError) as error:
        raise OutputError(
            f"'{place_of(out)}/{layout.PURGE}' says what is being purged, and is damaged; remove the file and purge "
            "again"
        ) from error


def _finished(out: Path, done: Stones) -> None:
    """Take out of what is to be purged what was; what another wrote down meanwhile is still to do."""
    if store_of(out) is not None:
        keep_joined(out, layout.PURGE, lambda before: _pending(_stones(out, before) - done))
        return
    with output_errors(out):
        remove_file(out, layout.PURGE)


def _remove_computed(out: Path) -> None:
    for stage in performing_names():
        if stage not in KEPT:
            retire(out, stage, lambda record: True)
    with output_errors(out):
        if (out / layout.LOG).is_file():  # it may name a sample
            remove_file(out, layout.LOG)


def _files(out: Path, record: Record, into: Attempt | None = None) -> PartFiles:
    """Locate the files of a part that was read: in the output folder, or where an attempt writes them."""
    name, number = part_of(record)
    held = {output.path for output in record.outputs}
    vectors = next((path for path in held if path.endswith(".npy")), None)
    metadata = next((path for path in held if path.startswith("embeddings") and path != vectors), None)

    def at(relative: str) -> Path:
        return out / relative if into is None else into.file(relative)

    return PartFiles(
        at(layout.samples(name, number)),
        at(layout.lost(name, number)),
        None if vectors is None else at(vectors),
        None if metadata is None else at(metadata),
    )


def _cut_part(out: Path, record: Record, stones: Stones) -> None:
    """Write a part anew without what was purged, first what was embedded of it later, then the part itself."""
    name, number = part_of(record)
    samples = layout.samples(name, number)
    unit = Unit(record.stage, record.name, record.fingerprint)
    mask = np.concatenate(
        [
            np.empty(0, bool),
            *(stays(batch.column("uid"), stones) for batch in read_batches(out / samples, ["uid"])),
        ]
    )
    if store_of(out) is not None:
        check_sound(out, record.outputs)
    with attempt(out, unit) as into:
        files = _files(out, record, into)
        facts: Json = record.facts | cut(_files(out, record), files, stones)
        before, after = output_of(record, samples).sha256, sha256_of(files.samples)
        for embedded in embeddings_of(out, record):
            bring_missing(out, embedded.outputs)
            cut_embedding(out, embedded, record, mask, (before, after))
            failpoint("purge.embedded")
        for output in record.outputs:
            kept = None if output.rows is None else _rows(output.path, facts, record)
            into.add(output.path, rows=kept)
        forget(out, unit)
        failpoint("purge.forgotten")
        into.commit(facts)


def _rows(path: str, facts: Json, record: Record) -> int:
    name, number = part_of(record)
    if path == layout.lost(name, number):
        return sum(count for of in facts["lost"].values() for count in of.values())
    return int(facts["rows"])


def _remove_leftovers(out: Path, stones: Stones, parts: set[PartName]) -> None:
    """Remove files that no record names: those of a part whose cut was interrupted, embeddings of a purged sample."""
    remove_unowned(out, performing_names())
    sweep_objects(out)
    with output_errors(out):
        for path in unowned_embeddings(out, stones, parts):
            remove_file(out, path)
