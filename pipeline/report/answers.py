"""Queries, their thresholds and their nearest samples, as the committed files have them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curation.audit import FloatArray, IntArray, rank_medians
from indexes.errors import DataError
from pipeline.files.parquet import read_batches, read_parquet
from pipeline.report.scan import numbers

# Ranks that a report looks at; a plan may list more.
RANKS = 100
NEIGHBOUR = ["query", "rank", "similarity", "uid"]


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
    """Read a benchmark's queries, with their thresholds.

    Raises:
        DataError: If the rows are not the queries 0, 1, 2, ….
    """
    table = read_parquet(path)
    if table.column("query").to_pylist() != list(range(len(table))):
        raise DataError(f"{path} does not list its queries in order; run the plan again into an empty folder")
    names = ("key", "uid", "label", "caption", "image_sha256")
    key, uid, label, caption, sha256 = (_texts(table.column(name)) for name in names)
    threshold = numbers(table.column("threshold"))
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
    """Read the pool's neighbours of one benchmark.

    Args:
        path: The file.
        queries: Queries of the benchmark.
        above: Pairs strictly above this similarity are given one by one.

    Raises:
        DataError: If the file is missing or damaged.
    """
    return _answers([_first_ranks(batch) for batch in read_batches(path, NEIGHBOUR)], queries, above)


def read_split_answers(path: Path, queries: Mapping[str, int], above: float) -> dict[str, Answers]:
    """Read a split's neighbours of every benchmark, in one pass over its file.

    Args:
        path: The file, one benchmark after the other.
        queries: Queries of each benchmark. One that the file does not name has no neighbour.
        above: As for `read_answers`.

    Raises:
        DataError: If the file is missing or damaged, or names a benchmark in two places.
    """
    found: dict[str, Answers] = {}
    for name, pieces in groupby(_by_benchmark(path), key=lambda piece: piece[0]):
        if name in found:
            raise DataError(f"'{path}' lists '{name}' in two places; remove the file and run the plan again")
        found[name] = _answers([table for _, table in pieces], queries[name], above)
    return {
        name: found[name] if name in found else _answers([], size, above) for name, size in queries.items()
    }


def _by_benchmark(path: Path) -> Iterator[tuple[str, pa.Table]]:
    for batch in read_batches(path, ["benchmark", *NEIGHBOUR]):
        for name in pc.unique(batch.column("benchmark")).to_pylist():
            yield name, _first_ranks(batch.filter(pc.equal(batch.column("benchmark"), name)))


def _first_ranks(batch: pa.RecordBatch) -> pa.Table:
    return pa.Table.from_batches([batch]).select(NEIGHBOUR).filter(pc.field("rank") <= RANKS)


def _answers(pieces: Sequence[pa.Table], queries: int, above: float) -> Answers:
    table = pa.concat_tables(pieces) if pieces else pa.table([[]] * 4, names=NEIGHBOUR)
    query, rank = (table.column(name).to_numpy().astype(np.int64) for name in ("query", "rank"))
    similarity, uid = numbers(table.column("similarity")), table.column("uid")
    first = rank == 1
    nearest = np.full(queries, np.nan)
    nearest[query[first]] = similarity[first]
    names = [""] * queries
    for at, name in zip(query[first].tolist(), uid.filter(pa.array(first)).to_pylist(), strict=True):
        names[at] = name
    last = np.ones(queries, dtype=np.int64)
    np.maximum.at(last, query, rank)
    crowd = np.full(queries, -np.inf)
    ends = (rank == last[query]) & (rank > 1)
    crowd[query[ends]] = similarity[ends]
    near = np.flatnonzero(similarity > above)
    near_uid = np.array(uid.take(pa.array(near)).to_pylist(), dtype="U32")
    medians = rank_medians(queries, rank, similarity)
    return Answers(nearest, names, crowd, medians, query[near], similarity[near], near_uid)


def next_nearest(path: Path, queries: Sequence[int], limit: int) -> dict[int, list[tuple[str, float]]]:
    """Read what follows the nearest sample of some queries, nearest first.

    Args:
        path: The pool's neighbours of one benchmark.
        queries: Positions of the queries.
        limit: So many samples of each, at most.

    Returns:
        By query, uids with their similarities; nothing for a query that has no second sample.

    Raises:
        DataError: If the file is missing or damaged.
    """
    found: dict[int, list[tuple[str, float]]] = {}
    wanted = pc.field("query").isin(pa.array(queries, pa.int32()))
    ranks = (pc.field("rank") > 1) & (pc.field("rank") <= 1 + limit)
    for batch in read_batches(path, NEIGHBOUR) if queries and limit else ():
        for row in pa.Table.from_batches([batch]).filter(wanted & ranks).to_pylist():
            found.setdefault(row["query"], []).append((row["uid"], row["similarity"]))
    return found


def nearest_similarities(path: Path, queries: int) -> FloatArray:
    """Read how near the pool comes to each query of a benchmark, and nothing else.

    Args:
        path: The pool's neighbours of the benchmark.
        queries: Queries of the benchmark.

    Returns:
        `(queries,)` similarity of each query's nearest pool sample; NaN where it has none.

    Raises:
        DataError: If the file is missing or damaged.
    """
    nearest = np.full(queries, np.nan)
    for batch in read_batches(path, ["query", "rank", "similarity"]):
        first = batch.filter(pc.equal(batch.column("rank"), 1))
        nearest[first.column("query").to_numpy()] = first.column("similarity").to_numpy()
    return nearest


def answers_of_reference(queries: Queries, above: float) -> Answers:
    """Make answers of the thresholds: the reference's nearest sample of each query."""
    near = np.flatnonzero(queries.threshold > above)
    uids = np.array([queries.reference_uid[at] for at in near], dtype="U32")
    crowd = np.full(len(queries), -np.inf)
    medians = rank_medians(len(queries), np.ones(len(queries), np.int64), queries.threshold)
    threshold = queries.threshold
    return Answers(threshold, queries.reference_uid, crowd, medians, near, threshold[near], uids)


def order_by_similarity(nearest: FloatArray, limit: int) -> Sequence[int]:
    """List the `limit` queries with the nearest samples, nearest first, ties by position; `nearest` is `(q,)`."""
    present = np.flatnonzero(~np.isnan(nearest))
    order = np.lexsort((present, -nearest[present]))
    return [int(at) for at in present[order][:limit]]
