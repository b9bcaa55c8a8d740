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
from scored_pools import BENCHMARKS, LOST, Pool, Sample, expected

from indexes.errors import PlanError, RunFailedError
from pipeline.splits import emit
from pipeline.splits.cutting import SplitRequest

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


def ties(count: int = 3000, seed: int = 0) -> list[Sample]:
    """Many samples with few distinct values."""
    random = np.random.default_rng(seed)
    values = np.round(random.normal(0.4, 0.2, (count, 3)), 2).clip(-1, 1)
    uids = [int.from_bytes(random.bytes(16), "big") for _ in range(count)]
    return [
        Sample(uid, tuple(map(float, row)), int(width), key=f"{n:05d}")
        for n, (uid, row, width) in enumerate(zip(uids, values, random.integers(0, 9, count), strict=True))
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
    monkeypatch.setattr("pipeline.splits.cutoffs.BUCKETS", 3)
    monkeypatch.setattr("pipeline.splits.cutoffs.SORTED", 10)
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
    monkeypatch.setattr("pipeline.splits.selecting.likely_bound", lambda *_: 5)
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
        "rows_in": 3000,
        "dropped": len(outside),
        "left": len(base),
    }


def test_order_of_parts_threads_memory_and_batches_change_no_byte(
    tied: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = [("where", "width >= 1"), ("far", {"keep": 2000, "combine": "rank"}), ("random", {"keep": 1000})]
    before = tied.cut(rules, threads=1)
    samples = [s for part in reversed(tied.parts) for s in reversed(part)]
    monkeypatch.setattr("pipeline.splits.split_files.BATCH_ROWS", 2048)
    other = Pool(tmp_path, [samples[:17], samples[17:2500], samples[2500:]])
    assert other.cut(rules, threads=4, memory_limit="300MB").files == before.files
    backwards = {"samples": other.request["samples"][::-1], "measures": other.request["measures"][::-1]}
    assert other.cut(rules, **backwards).files == before.files


def test_files_hold_a_fixed_number_of_rows(tied: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tied.cut([("far", {"keep": 2500})])
    monkeypatch.setattr(emit, "FILE_ROWS", 1000)
    monkeypatch.setattr(emit, "IN_FLIGHT", 1)
    found = tied.cut([("far", {"keep": 2500})])
    rows = {Path(p).name: w["rows"] for p, w in found.facts["files"].items() if "part-" in p}
    assert rows == {"part-0000.parquet": 1000, "part-0001.parquet": 1000, "part-0002.parquet": 500}
    assert found.kept.equals(whole.kept)
    assert found.dropped.equals(whole.dropped)


def test_every_file_is_described_by_its_digest(tied: Pool) -> None:
    import hashlib

    found = tied.cut([("near", {})])
    for path, described in found.facts["files"].items():
        content = found.files[Path(path).name]
        assert described["bytes"] == len(content)
        assert described["sha256"] == hashlib.sha256(content).hexdigest()
    assert json.loads(found.files["split.json"]) == json.loads(json.dumps(found.facts))
    assert set(found.files) == {Path(path).name for path in found.facts["files"]} | {"split.json"}


def test_uids_npy_is_what_numpy_saves(tied: Pool, tmp_path: Path) -> None:
    found = tied.cut([("far", {"keep": 77})])
    pairs = [(uid >> 64, uid & (2**64 - 1)) for uid in found.uids]
    want = np.array(pairs, np.dtype("u8,u8"))
    assert np.array_equal(np.sort(want), want)
    np.save(tmp_path / "want.npy", want)
    assert found.files["uids.npy"] == (tmp_path / "want.npy").read_bytes()


def test_an_empty_pool_gives_valid_empty_files(tmp_path: Path) -> None:
    found = Pool(tmp_path, [[], []]).cut([("near", {}), ("far", {"keep": 3, "combine": "rank"})])
    assert found.kept.column_names == ["uid", "key", "url", "caption", "width", *BENCHMARKS]
    assert (len(found.kept), len(found.dropped), found.files["keys.txt"]) == (0, 0, b"")
    assert found.facts["waterfall"] | {"dropped": []} == {
        "rows_in": 0,
        "failed": {},
        "quarantined": {},
        "duplicates": 0,
        "dropped": [],
        "kept": 0,
    }


def test_a_split_without_rules_is_the_pool(tied: Pool) -> None:
    found = tied.cut([])
    assert found.uids == sorted(s.uid for s in tied.samples)
    assert found.facts["waterfall"]["dropped"] == []


def losses(pool: Pool) -> dict[str, Any]:
    lost = {"key": ["a", "b", "c"], "uid": None, "url": None, "caption": None}
    lost |= {"outcome": ["failed", "failed", "quarantined"], "reason": ["404", None, "not an image"]}
    table = pa.table(
        {
            n: pa.nulls(3, LOST.field(n).type) if v is None else pa.array(v, pa.string())
            for n, v in lost.items()
        },
        schema=LOST,
    )
    gone = pool.samples[-1]
    uid = pa.array([gone.hex], pa.string())
    quarantined = pa.table({"uid": uid, "key": uid, "reason": pa.array(["nan"])})
    repeated = pa.table({"part": pa.array([0], pa.int32()), "row": pa.array([1], pa.int64()), "uid": uid})
    return {
        "lost": (pool.write("samples/pool/lost-0000.parquet", table),),
        "quarantined": (pool.write("measures/similarity/quarantined-0000.parquet", quarantined),),
        "duplicates": pool.write("samples/pool/duplicates.parquet", repeated),
    }


def test_every_row_of_the_pool_is_accounted_for(tmp_path: Path) -> None:
    first, second, third, unhealthy = (Sample(n, (0.1 * n,) * 3) for n in range(4))
    # Row 1 of part 0 repeats the first uid; the last sample was measured to be NaN.
    measured = Pool(tmp_path / "measured", [[first, second, third]]).request["measures"]
    pool = Pool(tmp_path, [[first, Sample(0, (0.9,) * 3, caption="later"), second, third, unhealthy]])
    found = pool.cut([("near", {"keep": 2})], measures=measured, **losses(pool))
    assert found.uids == [0, 1]
    assert found.kept["caption"].to_pylist() == ["", ""]
    assert found.facts["waterfall"] | {"dropped": []} == {
        "rows_in": 8,
        "failed": {"404": 1, "unknown": 1},
        "quarantined": {"nan": 1, "not an image": 1},
        "duplicates": 1,
        "dropped": [],
        "kept": 2,
    }


def test_rows_out_of_step_stop_the_split(tmp_path: Path) -> None:
    whole = Pool(tmp_path, [ties(10)])
    fewer = Pool(tmp_path / "fewer", [ties(10)[:9]])
    with pytest.raises(RunFailedError, match="10 samples can be chosen from, but 9 were measured"):
        whole.cut(
            [("near", {"keep": 5})], measures=fewer.request["measures"], samples=whole.request["samples"]
        )
    with pytest.raises(RunFailedError, match="rows are unaccounted for"):
        whole.cut([], samples=fewer.request["samples"])


def test_scores_alone_make_a_split(tied: Pool) -> None:
    rules = [("far", {"keep": 100})]
    found = tied.cut(rules, samples=())
    assert found.uids == expected(rules, tied.samples)[0]
    assert found.kept.column_names == ["uid", *BENCHMARKS]
    assert "keys.txt" not in found.files


def test_samples_alone_make_a_split(tied: Pool) -> None:
    found = tied.cut([("where", "width > 4"), ("random", {"keep": 50})], measures=(), benchmarks=())
    rules = [("where", {"at_least": 5}), ("random", {"keep": 50})]
    assert found.uids == expected(rules, tied.samples)[0]
    with pytest.raises(
        PlanError, match=r"splits.core\[0\].far needs the measure similarity, and this pool has none"
    ):
        tied.cut([("far", {"keep": 5})], measures=())
    with pytest.raises(PlanError, match="has neither"):
        tied.cut([], measures=(), samples=())


def test_a_request_survives_json(tied: Pool) -> None:
    request = SplitRequest(
        **{
            **tied.request,
            "name": "x",
            "rules": (("near", {"to": ["art"]}),),
            "from_": {"minus": ("a", "b")},
            "splits": {"a": ("p",), "b": ()},
            "fingerprints": {"pool": "0f"},
        }
    )
    assert SplitRequest.from_json(json.loads(json.dumps(request.to_json()))) == request


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
