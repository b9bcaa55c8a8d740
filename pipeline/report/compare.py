"""Each benchmark beside the reference, the pool and the splits; and the pairs that are worth looking at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from curation.audit import FloatArray
from pipeline.report.answers import (
    Answers,
    Queries,
    answers_of_reference,
    next_nearest,
    order_by_similarity,
    read_answers,
    read_split_answers,
)
from pipeline.report.request import BenchmarkFiles, ReportOptions, ReportRequest
from pipeline.report.scan import Measured

NEAREST = "nearest"
ABOVE = "above the threshold"
BELOW = "at or below the threshold"
# So many further samples of a query are shown beside its nearest one, on the same card.
NEXT = 5
# No similarity is above it: pairs of a split are not listed one by one.
NONE_ABOVE = 2.0


@dataclass(frozen=True, slots=True)
class Pair:
    """A query beside a pool sample, perhaps beside the reference sample that sets the threshold.

    Attributes:
        group: `NEAREST`, `ABOVE` or `BELOW`.
        query: Position of the query.
        uid: The pool sample.
        similarity: Their similarity.
        threshold: The query's threshold, or the soft level where there is no reference.
        following: Uids and similarities of further samples of the query: of the nearest pairs, the next nearest; of
            those around the threshold, others on the same side of it, closest to it first.
    """

    group: str
    query: int
    uid: str
    similarity: float
    threshold: float
    following: tuple[tuple[str, float], ...] = ()

    @property
    def uids(self) -> tuple[str, ...]:
        """The pool samples that its card shows."""
        return (self.uid, *(uid for uid, _ in self.following))

    @property
    def margin(self) -> float:
        """Similarity minus threshold; near-pruning drops the sample if it is above 0."""
        return self.similarity - self.threshold


@dataclass(frozen=True, slots=True)
class Compared:
    """One benchmark and what comes near it.

    Attributes:
        files: The benchmark's files.
        queries: Its queries.
        sets: Nearest samples in the reference, the pool and each split, by `set_key`.
        measured: What the pool's similarities say.
        pairs: The pairs to show.
    """

    files: BenchmarkFiles
    queries: Queries
    sets: Mapping[str, Answers]
    measured: Measured
    pairs: tuple[Pair, ...]


def above_reference(compared: Compared, answers: Answers) -> int | None:
    """Count the queries to which a set comes nearer than the reference does; None without a reference."""
    if "reference" not in compared.sets:
        return None
    return int(np.count_nonzero(answers.nearest > compared.queries.threshold))


def set_key(split: str) -> str:
    """Name a split among the sets; a split may be called "pool" or "reference" itself."""
    return f"split {split}"


def compare(
    request: ReportRequest, queries: Mapping[str, Queries], measured: Mapping[str, Measured]
) -> list[Compared]:
    """Put each benchmark's queries beside their nearest samples in every set.

    Args:
        request: The committed files.
        queries: Each benchmark's queries, in plan order.
        measured: What the pool's similarities say of each benchmark.
    """
    sizes = {name: len(own) for name, own in queries.items()}
    splits = {
        set_key(split.name): read_split_answers(request.path(split.neighbours), sizes, NONE_ABOVE)
        for split in request.splits
        if split.neighbours is not None
    }
    return [
        _compared(request, files, queries[files.name], measured[files.name], splits)
        for files in request.benchmarks
    ]


def _compared(
    request: ReportRequest,
    files: BenchmarkFiles,
    queries: Queries,
    measured: Measured,
    splits: Mapping[str, Mapping[str, Answers]],
) -> Compared:
    soft = request.options.soft
    sets = {"reference": answers_of_reference(queries, soft)} if request.has_reference else {}
    sets["pool"] = read_answers(request.path(files.neighbours), len(queries), soft)
    sets |= {key: answers[files.name] for key, answers in splits.items()}
    level = queries.threshold
    if not request.has_reference:
        level = np.full(len(queries), soft)
    shown = order_by_similarity(sets["pool"].nearest, request.options.pairs)
    following = next_nearest(request.path(files.neighbours), shown, NEXT)
    nearest = tuple(_nearest(sets["pool"], level, shown, following))
    pairs = (*nearest, *_around(measured, level, around_the_threshold(request.options), nearest))
    return Compared(files, queries, sets, measured, pairs)


def _nearest(
    pool: Answers,
    level: FloatArray,
    queries: Sequence[int],
    following: Mapping[int, Sequence[tuple[str, float]]],
) -> Iterator[Pair]:
    for at in queries:
        others = tuple(following.get(at, ()))
        yield Pair(NEAREST, at, pool.nearest_uid[at], float(pool.nearest[at]), float(level[at]), others)


def around_the_threshold(options: ReportOptions) -> int:
    """Say how many queries are shown on either side of the threshold."""
    return (options.pairs + 1) // 2


def remembered_around(options: ReportOptions) -> int:
    """Say how many samples next to a threshold must be known, so that every card has its `NEXT` others.

    As many more as the gallery of the nearest pairs may show already.
    """
    return around_the_threshold(options) * (1 + NEXT) + options.pairs


def _around(measured: Measured, level: FloatArray, limit: int, shown: Sequence[Pair]) -> Iterator[Pair]:
    """List the pairs next to the threshold; a pair that is shown already is passed over.

    Several pairs of one query are one: the closest to the threshold, and up to `NEXT` that follow. So there are `limit`
    queries on either side.
    """
    already = {(pair.query, pair.uid) for pair in shown}
    for group, closest, sign in ((ABOVE, measured.nearest_over, 1.0), (BELOW, measured.nearest_under, -1.0)):
        by_query: dict[int, list[tuple[str, float]]] = {}
        rows = zip(closest.query.tolist(), closest.uid.tolist(), closest.distance.tolist(), strict=True)
        for query, uid, distance in (row for row in rows if row[:2] not in already):
            # Exact: margin and threshold are multiples of 2**-48, and so is their sum.
            by_query.setdefault(query, []).append((uid, float(level[query]) + sign * distance))
        for query, others in islice(by_query.items(), limit):
            (uid, similarity), *following = others
            yield Pair(group, query, uid, similarity, float(level[query]), tuple(following[:NEXT]))
