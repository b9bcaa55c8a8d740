"""Samples that were purged, by hashes of their names: what stands of them, so that no later run takes them in again.

A part is cut after it was written, by the same function whether it was just read or stood for long: reading it anew and
cutting the old one come to the same bytes.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curation.measures.told._deny_lists import normal_url
from indexes.errors import OutputError
from pipeline import layout
from pipeline.commit.copying import keep_joined
from pipeline.files.parquet import parquet_schema, read_batches, read_parquet, write_parquet
from pipeline.files.storage import output_errors
from pipeline.sets.samples import LOST_SCHEMA
from pipeline.stores.working_copies import place_of

OUTCOME, REASON = "quarantined", "purged"
"""What is said of a purged sample where lost rows are counted; its row names nothing."""
Stones = frozenset[bytes]
_NAMES = ("key", "uid", "url", "caption")


@dataclass(frozen=True, slots=True)
class PartFiles:
    """The files of a part as it was read; vectors and their rows only where its images were embedded."""

    samples: Path
    lost: Path
    vectors: Path | None = None
    metadata: Path | None = None


def stone(kind: str, name: str) -> bytes:
    """Hash a name: `kind` is `uid` (32 hex digits), or `url` for a row that has no uid."""
    return hashlib.sha256(
        f"{kind} {name if kind == 'uid' else normal_url(name)}".encode(errors="replace")
    ).digest()


def tombstones(out: Path) -> Stones:
    """Read the hashes of an output folder; none where nothing was purged.

    Raises:
        OutputError: If the file is damaged: what it kept out would come in again.
    """
    path = out / layout.TOMBSTONES
    return _held(out, path.read_bytes() if path.is_file() else None)


def add_tombstones(out: Path, stones: Iterable[bytes]) -> Stones:
    """Write hashes down, in order, beside those that are there; return all.

    Raises:
        OutputError: If what is there is damaged, or the output cannot be written.
    """
    keep_joined(out, layout.TOMBSTONES, lambda before: _written(_held(out, before).union(stones)))
    return tombstones(out)


def _held(out: Path, content: bytes | None) -> Stones:
    if content is None:
        return frozenset()
    try:
        held = np.load(io.BytesIO(content), allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _damaged(out) from error
    if held.dtype != np.uint8 or held.ndim != 2 or held.shape[1] != hashlib.sha256().digest_size:
        raise _damaged(out)
    return frozenset(row.tobytes() for row in held)


def _written(stones: Stones) -> bytes:
    stream = io.BytesIO()
    held = np.frombuffer(b"".join(sorted(stones)), np.uint8)
    np.save(stream, held.reshape(-1, hashlib.sha256().digest_size))
    return stream.getvalue()


def _damaged(out: Path) -> OutputError:
    return OutputError(
        f"'{place_of(out)}/{layout.TOMBSTONES}' says which samples were purged, and is damaged; remove it, purge again "
        "what its list named, then run again"
    )


def stays(uids: Any, stones: Stones) -> NDArray[np.bool_]:
    """Say which rows of a column of uids are not purged."""
    return np.array([uid is None or stone("uid", uid) not in stones for uid in uids.to_pylist()], bool)


def holds_purged(found: PartFiles, stones: Stones) -> bool:
    """Say whether a part has a row of a purged sample, or a lost row that names one."""
    for batch in read_batches(found.samples, ["uid"]):
        if not stays(batch.column("uid"), stones).all():
            return True
    return any(_named(read_parquet(found.lost, ["uid", "url"]), stones))


def cut(found: PartFiles, into: PartFiles, stones: Stones) -> dict[str, Any]:
    """Write a part without the samples that were purged; each of them leaves a lost row that names nothing.

    Rows that stay keep their `row`. A lost row that names a purged sample keeps its outcome and reason alone.

    Returns:
        The facts of a read part that change: `rows`, `lost`, `captions`.
    """
    mask = np.concatenate(
        [
            np.empty(0, bool),
            *(stays(batch.column("uid"), stones) for batch in read_batches(found.samples, ["uid"])),
        ]
    )
    captions = 0
    rows = cut_rows(found.samples, into.samples, mask)
    for batch in read_batches(into.samples, ["caption"]):
        captions += len(batch) - batch.column("caption").null_count
    lost = _without_names(read_parquet(found.lost), stones, int((~mask).sum()))
    write_parquet(into.lost, lost, LOST_SCHEMA)
    if found.vectors is not None and into.vectors is not None:
        cut_vectors(found.vectors, into.vectors, mask)
    if found.metadata is not None and into.metadata is not None:
        cut_rows(found.metadata, into.metadata, mask)
    return {"rows": rows, "lost": count_lost(lost), "captions": captions}


def cut_rows(source: Path, target: Path, mask: NDArray[np.bool_]) -> int:
    """Write the rows of a Parquet file for which `mask` is true to a new one; return how many."""

    def pieces() -> Iterator[pa.RecordBatch]:
        at = 0
        for batch in read_batches(source):
            yield batch.filter(pa.array(mask[at : at + len(batch)]))
            at += len(batch)

    return write_parquet(target, pieces(), parquet_schema(source))


def cut_vectors(source: Path, target: Path, mask: NDArray[np.bool_]) -> NDArray[Any]:
    """Write the rows of an array for which `mask` is true to a new file; return them."""
    kept: NDArray[Any] = np.load(source, mmap_mode="r", allow_pickle=False)[mask]
    with output_errors(target, kept.nbytes):
        np.save(target, kept)
    return kept


def count_lost(lost: pa.Table) -> dict[str, dict[str, int]]:
    """Count lost rows by outcome and reason."""
    counts: dict[str, dict[str, int]] = {"failed": {}, "quarantined": {}}
    for outcome, reason in zip(*(lost.column(c).to_pylist() for c in ("outcome", "reason")), strict=True):
        counts[outcome][reason] = counts[outcome].get(reason, 0) + 1
    return {outcome: dict(sorted(found.items())) for outcome, found in counts.items()}


def _named(lost: pa.Table, stones: Stones) -> list[bool]:
    pairs = zip(lost.column("uid").to_pylist(), lost.column("url").to_pylist(), strict=True)
    return [stone_of_lost(uid, url) in stones for uid, url in pairs]


def stone_of_lost(uid: str | None, url: str | None) -> bytes | None:
    """Hash what a lost row is called: by its uid, or by its url where it has none."""
    return stone("uid", uid) if uid is not None else None if url is None else stone("url", url)


def _without_names(lost: pa.Table, stones: Stones, purged: int) -> pa.Table:
    gone = pa.array(_named(lost, stones), pa.bool_())
    plain = {
        name: pc.if_else(gone, pa.nulls(len(lost), pa.string()), lost.column(name))
        if name in _NAMES
        else lost.column(name)
        for name in LOST_SCHEMA.names
    }
    of_purged = {"outcome": [OUTCOME] * purged, "reason": [REASON] * purged}
    added = {name: pa.array(of_purged.get(name, [None] * purged), pa.string()) for name in LOST_SCHEMA.names}
    return pa.concat_tables([pa.table(plain, schema=LOST_SCHEMA), pa.table(added, schema=LOST_SCHEMA)])
