"""Splits against plain Python: what stays, why the rest goes, and bytes that depend on nothing else."""

from __future__ import annotations

import json
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scored_pools import BENCHMARKS, Pool, Sample, expected, ties

# Few distinct values, so that ties are everywhere; quarters are exact in binary.
VALUES = st.sampled_from([-1.0, 0.0, 0.25, 0.5, 0.5000000000000001, 0.75, 1.0, None, float("nan")])
UIDS = st.one_of(st.integers(0, 5), st.integers(2**127 - 3, 2**127 + 3), st.integers(0, 2**128 - 1))
SAMPLES = st.lists(
    st.builds(
        Sample,
        uid=UIDS,
        similarity=st.tuples(VALUES, VALUES, VALUES),
        width=st.one_of(st.none(), st.integers(0, 3)),
    ),
    max_size=40,
    unique_by=lambda sample: sample.uid,
)
TO = st.one_of(st.just("all"), st.lists(st.sampled_from(BENCHMARKS), min_size=1, unique=True))
HOW_MANY = st.one_of(
    st.builds(lambda n: {"keep": n}, st.integers(1, 50)),
    st.builds(lambda f: {"fraction": f}, st.sampled_from([0.25, 0.5, 0.75, 1.0])),
)
LIMIT = st.builds(lambda t: {"threshold": t}, st.sampled_from([0.25, 0.5, 0.6, "per_query"]))
NEAR = st.builds(lambda to, how: ("near", {"to": to, **how}), TO, st.one_of(HOW_MANY, LIMIT, st.just({})))
COMBINED = st.builds(
    lambda how, c: {**how, "combine": c}, HOW_MANY, st.sampled_from(["max", "quota", "rank"])
)
FAR = st.builds(lambda to, how: ("far", {"to": to, **how}), TO, st.one_of(COMBINED, LIMIT))
RANDOM = st.builds(lambda how, seed: ("random", {**how, "seed": seed}), HOW_MANY, st.integers(0, 3))
WHERE = st.builds(lambda n: ("where", {"at_least": n}), st.integers(0, 4))
RULES = st.lists(st.one_of(NEAR, FAR, RANDOM, WHERE), max_size=3)


def as_planned(rules: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    return [(n, f"width >= {o['at_least']}" if n == "where" else o) for n, o in rules]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("splits")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(samples=SAMPLES, rules=RULES, parts=st.integers(1, 3))
def test_a_split_is_what_sorted_lists_give(
    shared: Path, samples: list[Sample], rules: list[tuple[str, Any]], parts: int
) -> None:
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        pool = Pool(Path(folder), [samples[n::parts] for n in range(parts)])
        found = pool.cut(as_planned(rules))
        kept, reasons = expected(rules, samples)
        assert found.uids == kept
        assert found.reasons == reasons
        assert found.dropped["uid"].to_pylist() == sorted(found.dropped["uid"].to_pylist())
        steps = found.facts["waterfall"]["dropped"]
        assert [step["dropped"] for step in steps] == [
            sum(reason == step["reason"] for reason in reasons.values()) for step in steps
        ]


@pytest.fixture(scope="module")
def tied(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    samples = ties()
    return Pool(tmp_path_factory.mktemp("tied"), [samples[:1000], [], samples[1000:]])


CASES: list[list[tuple[str, Any]]] = [
    [("near", {})],
    [("near", {"to": ["sketch"], "threshold": 0.41})],
    [("near", {"keep": 1234})],
    [("far", {"keep": 1000})],
    [("far", {"keep": 1000, "combine": "quota"})],
    [("far", {"keep": 1001, "combine": "rank"})],
    [("far", {"keep": 2999, "combine": "rank"})],
    [("far", {"keep": 1, "combine": "rank", "to": ["art", "photo"]})],
    [("random", {"keep": 500, "seed": 7})],
    [
        ("where", {"at_least": 4}),
        ("far", {"fraction": 0.33, "combine": "quota"}),
        ("random", {"fraction": 0.5}),
    ],
    [("near", {"keep": 100_000})],
]


@pytest.mark.parametrize("rules", CASES, ids=lambda rules: json.dumps(rules)[:60])
def test_ties_go_to_the_lower_uid(tied: Pool, rules: list[tuple[str, Any]]) -> None:
    found = tied.cut(as_planned(rules))
    assert (found.uids, found.reasons) == expected(rules, tied.samples)
    assert found.facts["kept"] == len(found.uids)


@pytest.mark.parametrize("rules", CASES, ids=lambda rules: json.dumps(rules)[:60])
def test_cutoffs_found_through_many_small_buckets_are_the_same(
    tied: Pool, rules: list[tuple[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tied.cut(as_planned(rules))
    monkeypatch.setattr("curation.cutoffs.BUCKETS", 3)
    monkeypatch.setattr("curation.cutoffs.SORTED", 10)
    assert tied.cut(as_planned(rules)).files == before.files


def test_more_than_there_is_keeps_all_and_says_so(tied: Pool) -> None:
    for rules in ([("far", {"keep": 9999})], [("far", {"keep": 9999, "combine": "quota"})]):
        found = tied.cut(rules)
        assert found.facts["kept"] == 3000
        assert found.facts["waterfall"]["dropped"][0]["short"] == 6999
    assert (
        "short" not in tied.cut([("far", {"keep": 3000, "combine": "rank"})]).facts["waterfall"]["dropped"][0]
    )


def test_near_and_far_of_one_threshold_divide_the_pool(tied: Pool) -> None:
    for options in ({"threshold": 0.5}, {"threshold": "per_query"}):
        near, far = tied.cut([("near", options)]), tied.cut([("far", options)])
        assert sorted(near.uids + far.uids) == sorted(sample.uid for sample in tied.samples)
    edge = [s.uid for s in tied.samples if max(v for v in s.similarity if v is not None) == 0.5]
    assert edge
    assert set(edge) <= set(near.uids)


def test_a_higher_threshold_never_drops_more(tied: Pool) -> None:
    kept = [set(tied.cut([("near", {"threshold": t})]).uids) for t in (0.2, 0.5, 0.55, 1.0)]
    assert all(low <= high for low, high in pairwise(kept))


def test_random_samples_are_nested_and_seeds_differ(tied: Pool) -> None:
    small, large = (set(tied.cut([("random", {"keep": n})]).uids) for n in (200, 700))
    other = set(tied.cut([("random", {"keep": 200, "seed": 1})]).uids)
    assert small < large
    assert small != other
    assert tied.cut([("random", {"fraction": 1.0})]).facts["kept"] == 3000


def test_a_hash_beyond_its_likely_bound_is_still_found(tied: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tied.cut([("random", {"keep": 300})])
    monkeypatch.setattr("curation.selections.rank.likely_bound", lambda *_: 5)
    assert tied.cut([("random", {"keep": 300})]).files == before.files


def test_like_takes_the_size_of_another_split(tied: Pool) -> None:
    folder = tied.out / "like"
    folder.mkdir()
    paths = {"core": saved(tied.cut([("far", {"keep": 321})]).kept, folder)}
    found = tied.cut([("random", {"like": "core"})], splits=paths)
    assert found.uids == expected([("random", {"keep": 321})], tied.samples)[0]


def saved(table: pa.Table, folder: Path) -> tuple[str, ...]:
    from pipeline.files.parquet import write_parquet

    path = folder / f"{len(list(folder.iterdir()))}.parquet"
    write_parquet(path, table, table.schema)
    return (str(path),)


@pytest.mark.parametrize("operation", ["union", "intersect", "minus"])
def test_from_puts_splits_together(tied: Pool, operation: str) -> None:
    folder = tied.out / operation
    folder.mkdir()
    cuts = {"a": tied.cut([("far", {"keep": 900})]), "b": tied.cut([("random", {"keep": 800})])}
    paths = {name: saved(cut.kept, folder) for name, cut in cuts.items()}
    found = tied.cut([("near", {"keep": 150})], from_={operation: ("a", "b")}, splits=paths)
    a, b = (set(cut.uids) for cut in cuts.values())
    base = {"union": a | b, "intersect": a & b, "minus": a - b}[operation]
    kept, reasons = expected([("near", {"keep": 150})], [s for s in tied.samples if s.uid in base])
    assert found.uids == kept
    outside = {s.uid: "from" for s in tied.samples if s.uid not in base}
    assert found.reasons == reasons | outside
    steps = found.facts["waterfall"]["dropped"]
    assert [step["reason"] for step in steps] == ["from", "1:near"]
    assert steps[0] | {"options": 0} == {
        "reason": "from",
        "rule": "from",
        "options": 0,
        "words": "drops what is not in the splits that this one starts from",
        "rows_in": 3000,
        "dropped": len(outside),
        "left": len(base),
    }


def test_nan_drops_even_where_the_statistics_of_a_file_hide_it(tmp_path: Path) -> None:
    """Parquet's minimum and maximum pass over NaN, and DuckDB believes them."""
    nan = float("nan")
    samples = [Sample(0, (nan,) * 3), Sample(1, (-1.0,) * 3), Sample(2, (None,) * 3), Sample(3, (1.0,) * 3)]
    pool = Pool(tmp_path, [samples[:3], samples[3:]])
    for options in ({"to": ["photo"]}, {}, {"threshold": 0.9}, {"keep": 4}):
        found = pool.cut([("near", options)])
        assert set(found.uids) - {3} == {1}, options
    assert pool.cut([("far", {"threshold": 0.0})]).uids == [3]
    assert pool.cut([("far", {"keep": 4, "combine": "rank"})]).uids == [1, 3]


def test_nan_in_a_column_of_the_pool_is_null_to_a_predicate_and_kept_in_the_files(tmp_path: Path) -> None:
    samples = [Sample(n, (0.0,) * 3) for n in range(4)]
    scores = {0: float("nan"), 1: 0.2, 2: 0.4, 3: None}
    pool = Pool(
        tmp_path, [samples[:2], samples[2:]], own={"clip": lambda s: scores[s.uid]}, kind=pa.float32()
    )
    assert pool.cut([("where", "clip > 0.3")]).uids == [2]
    assert pool.cut([("where", "NOT (clip > 0.3)")]).uids == [1]
    everything = pool.cut([]).kept["clip"]
    assert np.isnan(everything[0].as_py())
    assert everything.type == pa.float32()
    assert everything.null_count == 1
