"""What near samples bring along, and which files are identical: leakage of the pool and the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curation.leakage import Identical, Leakage, NearPairs, Text, classify, coverage
from pipeline.report.compare import Compared
from pipeline.report.lookup import Lookup, Matches, Pairs
from pipeline.report.request import ReportRequest, SetFiles

NO_PAIRS = Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), np.empty(0, "U32"))


@dataclass(frozen=True, slots=True)
class Source:
    """What one set (the pool, or the reference) leaks into one benchmark.

    Attributes:
        name: "pool" or "reference".
        dataset: Its dataset, where the plan says so.
        coverage: Whether the benchmark is a split of the same dataset.
        hard: Queries whose nearest sample is above the hard level.
        soft: Those between the levels.
        identical: Queries with a byte-identical file.
        left: Per split, the queries with a byte-identical file that the split keeps.
        listed: The first identical rows: (sha256, uid, key).
    """

    name: str
    dataset: str | None
    coverage: str
    hard: Leakage
    soft: Leakage
    identical: Identical
    left: Mapping[str, int]
    listed: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """One set's rows as far as they matter: `pairs` are those above the soft level, of all benchmarks."""

    files: SetFiles
    pairs: Pairs
    matches: Matches


def gather(request: ReportRequest, compared: Sequence[Compared]) -> dict[str, Evidence]:
    """Look up the near samples of the pool and of the reference, by the set's name; nothing without benchmarks."""
    if not compared:
        return {}
    lookup = Lookup(request, _texts(compared), query_hashes(compared))
    kept = {split.name: _kept(request, split.uids) for split in request.splits if split.uids}
    shown = {uid for each in compared for pair in each.pairs for uid in pair.uids}
    with_splits = Lookup(request, lookup.texts, lookup.hashes, kept)
    found = {"pool": _evidence(with_splits, request.pool, compared, shown)}
    if request.reference is not None:
        shown = {each.queries.reference_uid[pair.query] for each in compared for pair in each.pairs}
        found["reference"] = _evidence(lookup, request.reference, compared, shown)
    return found


def _evidence(lookup: Lookup, files: SetFiles, compared: Sequence[Compared], shown: set[str]) -> Evidence:
    pairs = _near(compared, files.name)
    return Evidence(files, pairs, lookup.run(files, pairs, shown))


def look_up_queries(request: ReportRequest, compared: Compared) -> Matches:
    """Find the rows of the queries that are shown, to know where their images lie."""
    shown = {compared.queries.uid[pair.query] for pair in compared.pairs}
    return Lookup(request, (), ()).run(compared.files.rows, NO_PAIRS, shown)


def query_hashes(compared: Sequence[Compared]) -> list[str]:
    """List the distinct hashes of all queries' files, sorted."""
    return sorted({sha256 for each in compared for sha256 in each.queries.sha256} - {""})


def _texts(compared: Sequence[Compared]) -> list[list[Text]]:
    queries = [each.queries for each in compared]
    return [[Text.of(*both) for both in zip(q.caption, q.label, strict=True)] for q in queries]


def _kept(request: ReportRequest, path: str) -> NDArray[np.void]:
    kept: NDArray[np.void] = np.load(request.path(path), mmap_mode="r", allow_pickle=False)
    return kept


def _near(compared: Sequence[Compared], name: str) -> Pairs:
    """Put one set's pairs above the soft level, with all benchmarks, in one table."""
    answers = [each.sets[name] for each in compared]
    return Pairs(
        np.repeat(np.arange(len(answers)), [len(each.near_query) for each in answers]),
        np.concatenate([each.near_query for each in answers]),
        np.concatenate([each.near_similarity for each in answers]),
        np.concatenate([each.near_uid for each in answers]),
    )


def source(request: ReportRequest, compared: Sequence[Compared], at: int, evidence: Evidence) -> Source:
    """Classify what a set leaks into the benchmark at position `at`."""
    benchmark, files, near = compared[at], evidence.files, evidence.pairs
    mine = near.benchmark == at
    pairs = NearPairs(
        near.query[mine],
        near.similarity[mine],
        evidence.matches.modality[mine],
        benchmark.sets[files.name].crowd,
    )
    hard, soft = classify(pairs, request.options.hard, request.options.soft)
    identical, left = _identical(compared, at, evidence.matches)
    own = set(benchmark.queries.sha256)
    listed = tuple(sorted(row for row in evidence.matches.listed if row[0] in own))
    covers = coverage(files.dataset, benchmark.files.rows.dataset)
    return Source(files.name, files.dataset, covers, hard, soft, identical, left, listed)


def _identical(compared: Sequence[Compared], at: int, matches: Matches) -> tuple[Identical, dict[str, int]]:
    places = {sha256: place for place, sha256 in enumerate(query_hashes(compared))}
    hashes = compared[at].queries.sha256
    own = np.array([places[sha256] for sha256 in hashes if sha256], dtype=np.int64)
    copies = matches.copies[own]
    checked = len(own) if matches.hashed else 0
    left = {name: int(np.count_nonzero(count[own])) for name, count in matches.left.items()}
    return Identical(int(np.count_nonzero(copies)), int(copies.sum()), checked), left
