"""Queries, their thresholds and their nearest samples, as the committed files have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curation.audit import FloatArray, IntArray, rank_medians
from indexes.errors import DataError
from pipeline.files.parquet import read_parquet
from pipeline.report.scan import batches, numbers

# Ranks that a report looks at; a plan may list more.
RANKS = 100


@dataclass(frozen=True, slots=True)
class Queries:
    """The queries of one benchmark, in their order.

    Attributes:
        key: Keys.
        uid: 32 hex digits each.
        label: Class names, "" where there is none.
        caption: Captions, "" where there is none.
        sha256: Hashes of the files, "" where the benchmark brings vectors.
        threshold: `(q,)` nearest similarity of the reference; NaN without one.
        reference_uid: The reference sample that gives it, "" without one.
    """

    key: list[str]
    uid: list[str]
    label: list[str]
    caption: list[str]
    sha256: list[str]
    threshold: FloatArray
    reference_uid: list[str]

    def __len__(self) -> int:
        return len(self.key)


def read_queries(path: Path) -> Queries:
    """Read `indexes/<benchmark>/queries.parquet`.

    Raises:
        DataError: If the rows are not the queries 0, 1, 2, ….
    """
    table = read_parquet(path)
    if table.column("query").to_pylist() != list(range(len(table))):
        raise DataError(f"{path} does not list its queries in order; run the plan again into an empty folder")
    names = ("key", "uid", "label", "caption", "image_sha256")
    key, uid, label, caption, sha256 = (_texts(table.column(name)) for name in names)
    threshold = numbers(table.column("threshold").combine_chunks())
    return Queries(key, uid, label, caption, sha256, threshold, _texts(table.column("reference_uid")))


def _texts(column: pa.ChunkedArray) -> list[str]:
    return [str(value) for value in pc.fill_null(column.cast(pa.string()), "").to_pylist()]


@dataclass(frozen=True, slots=True)
class Answers:
    """Each query's nearest samples in one set, at most `RANKS`.

    Attributes:
        nearest: `(q,)` similarity of the nearest; NaN where the set has none.
        nearest_uid: Its uid, "" where the set has none.
        crowd: `(q,)` similarity of the last one listed; -inf where fewer than two are.
        medians: Median similarity per rank, as far as every query has it.
        near_query: `(n,)` queries of the pairs above the level that was asked for.
        near_similarity: `(n,)` their similarities.
        near_uid: `(n,)` their uids.
    """

    nearest: FloatArray
    nearest_uid: list[str]
    crowd: FloatArray
    medians: tuple[float, ...]
    near_query: IntArray
    near_similarity: FloatArray
    near_uid: NDArray[np.str_]


def read_answers(path: Path, queries: int, above: float) -> Answers:
    """Read `neighbours/<benchmark>.parquet`, or a split's.

    Args:
        path: The file.
        queries: Queries of the benchmark.
        above: Pairs strictly above this similarity are given one by one.
    """
    query, rank, similarity, uid = _columns(path)
    first = rank == 1
    nearest = np.full(queries, np.nan)
    nearest[query[first]] = similarity[first]
    names = [""] * queries
    for at in np.flatnonzero(first):
        names[query[at]] = uid[at].as_py()
    last = np.ones(queries, dtype=np.int64)
    np.maximum.at(last, query, rank)
    crowd = np.full(queries, -np.inf)
    ends = (rank == last[query]) & (rank > 1)
    crowd[query[ends]] = similarity[ends]
    near = np.flatnonzero(similarity > above)
    near_uid = np.array(uid.take(pa.array(near)).to_pylist(), dtype="U32")
    medians = rank_medians(queries, rank, similarity)
    return Answers(nearest, names, crowd, medians, query[near], similarity[near], near_uid)


def _columns(path: Path) -> tuple[IntArray, IntArray, FloatArray, pa.ChunkedArray]:
    """Read the columns of the first `RANKS` ranks, batch by batch."""
    names = ["query", "rank", "similarity", "uid"]
    parts = [
        pa.Table.from_batches([batch]).filter(pc.field("rank") <= RANKS) for batch in batches(path, names)
    ]
    if not parts:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), pa.chunked_array([], pa.string())
    table = pa.concat_tables(parts)
    query, rank = (table.column(name).to_numpy().astype(np.int64) for name in ("query", "rank"))
    return query, rank, table.column("similarity").to_numpy().astype(np.float64), table.column("uid")


def answers_of_reference(queries: Queries, above: float) -> Answers:
    """Give the reference's nearest samples: the thresholds, one sample per query."""
    near = np.flatnonzero(queries.threshold > above)
    uids = np.array([queries.reference_uid[at] for at in near], dtype="U32")
    crowd = np.full(len(queries), -np.inf)
    medians = rank_medians(len(queries), np.ones(len(queries), np.int64), queries.threshold)
    threshold = queries.threshold
    return Answers(threshold, queries.reference_uid, crowd, medians, near, threshold[near], uids)


def order_by_similarity(nearest: FloatArray, limit: int) -> Sequence[int]:
    """Give the queries with the nearest samples, nearest first, ties by position."""
    present = np.flatnonzero(~np.isnan(nearest))
    order = np.lexsort((present, -nearest[present]))
    return [int(at) for at in present[order][:limit]]
