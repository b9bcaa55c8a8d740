"""The files of a split: their bytes depend on the rows alone, every row is accounted for, each file is read once."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scored_pools import BENCHMARKS, LOST, THRESHOLD, Pool, Sample, expected, ties

from indexes.errors import DataError, PlanError, RunFailedError
from pipeline.splits import emit, pool_rows
from pipeline.splits.requests import PoolPart, SplitRequest


@pytest.fixture(scope="module")
def tied(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    samples = ties()
    return Pool(tmp_path_factory.mktemp("tied"), [samples[:1000], [], samples[1000:]])


def test_order_of_parts_threads_memory_and_batches_change_no_byte(
    tied: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = [("where", "width >= 1"), ("far", {"keep": 2000, "combine": "rank"}), ("random", {"keep": 1000})]
    before = tied.cut(rules, threads=1)
    samples = [s for part in reversed(tied.parts) for s in reversed(part)]
    monkeypatch.setattr("pipeline.splits.split_files.BATCH_ROWS", 2048)
    other = Pool(tmp_path, [samples[:17], samples[17:2500], samples[2500:]])
    assert other.cut(rules, threads=4, memory_limit="300MB").files == before.files
    assert other.cut(rules, parts=other.files[::-1]).files == before.files


def test_files_hold_a_fixed_number_of_rows(tied: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tied.cut([("far", {"keep": 2500})])
    monkeypatch.setattr(emit, "FILE_ROWS", 1000)
    monkeypatch.setattr(emit, "IN_FLIGHT", 1)
    found = tied.cut([("far", {"keep": 2500})])
    rows = {Path(p).name: w["rows"] for p, w in found.facts["files"].items() if "core/part-" in p}
    assert rows == {"part-0000.parquet": 1000, "part-0001.parquet": 1000, "part-0002.parquet": 500}
    assert found.kept.equals(whole.kept)
    assert found.dropped.equals(whole.dropped)


def test_every_file_is_described_by_its_digest(tied: Pool) -> None:
    import hashlib

    found = tied.cut([("near", {})])
    for path, described in found.facts["files"].items():
        content = found.files[path.removeprefix("splits/core/")]
        assert described["bytes"] == len(content)
        assert described["sha256"] == hashlib.sha256(content).hexdigest()
    assert json.loads(found.files["split.json"]) == json.loads(json.dumps(found.facts))
    names = {path.removeprefix("splits/core/") for path in found.facts["files"]}
    assert set(found.files) == names | {"split.json"}
    assert names == {"part-0000.parquet", "dropped/part-0000.parquet", "uids.npy", "keys.txt"}


def test_uids_npy_is_what_numpy_saves(tied: Pool, tmp_path: Path) -> None:
    found = tied.cut([("far", {"keep": 77})])
    pairs = [(uid >> 64, uid & (2**64 - 1)) for uid in found.uids]
    want = np.array(pairs, np.dtype("u8,u8"))
    assert np.array_equal(np.sort(want), want)
    np.save(tmp_path / "want.npy", want)
    assert found.files["uids.npy"] == (tmp_path / "want.npy").read_bytes()


def test_an_empty_pool_gives_valid_empty_files(tmp_path: Path) -> None:
    found = Pool(tmp_path, [[], []]).cut([("near", {}), ("far", {"keep": 3, "combine": "rank"})])
    assert found.kept.column_names == ["uid", "key", "url", "caption", "label", "width", *BENCHMARKS]
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


def losses(pool: Pool) -> tuple[str, ...]:
    lost = {"key": ["a", "b", "c"], "uid": None, "url": None, "caption": None}
    lost |= {"outcome": ["failed", "failed", "quarantined"], "reason": ["404", None, "not an image"]}
    table = pa.table(
        {
            n: pa.nulls(3, LOST.field(n).type) if v is None else pa.array(v, pa.string())
            for n, v in lost.items()
        },
        schema=LOST,
    )
    return (pool.write("lost/pool/part-0000.parquet", table),)


def set_aside(pool: Pool, name: str, rows: list[tuple[Sample, str | None, int]]) -> str:
    samples, reasons, numbers = zip(*rows, strict=True)
    uids = pa.array([sample.hex for sample in samples])
    table = pa.table(
        {"uid": uids, "key": uids, "reason": pa.array(reasons, pa.string()), "row": pa.array(numbers)}
    )
    return pool.write(f"lost/pool/{name}/part-0000.parquet", table)


def test_every_row_of_the_pool_is_accounted_for(tmp_path: Path) -> None:
    first, second, third, unhealthy = (Sample(n, (0.1 * n,) * 3) for n in range(4))
    later = Sample(0, (0.9,) * 3, caption="later")
    # Row 1 repeats the first uid; the last sample has no vector that can be compared, and of two kinds.
    pool = Pool(tmp_path, [[first, later, second, third, unhealthy]])
    measured = Pool(tmp_path / "measured", [[first, second, third, unhealthy]])
    quarantined = (
        set_aside(pool, "image", [(later, "zero", 1), (unhealthy, "nan", 4)]),
        set_aside(pool, "text", [(unhealthy, "zero", 4)]),
    )
    part = PoolPart(pool.files[0].samples, (1,), quarantined, measured.files[0].measures)
    found = pool.cut([("near", {"keep": 2})], parts=(part,), lost=losses(pool))
    assert found.uids == [0, 1]
    assert found.kept["caption"].to_pylist() == ["", ""]
    assert found.reasons == {2: "1:near"}
    assert found.facts["waterfall"] | {"dropped": []} == {
        "rows_in": 8,
        "failed": {"404": 1, "unknown": 1},
        "quarantined": {"nan": 1, "not an image": 1},
        "duplicates": 1,
        "dropped": [],
        "kept": 2,
    }


def test_rows_out_of_step_stop_the_split(tmp_path: Path) -> None:
    samples = ties(10)
    whole = Pool(tmp_path, [samples])
    swapped = [samples[1], samples[0], *samples[2:]]
    for name, others in (
        ("fewer", samples[:9]),
        ("more", [*samples, *ties(1, seed=1)]),
        ("swapped", swapped),
    ):
        measures = Pool(tmp_path / name, [others]).files[0].measures
        parts = (replace(whole.files[0], measures=measures),)
        with pytest.raises(DataError, match="are out of step") as caught:
            whole.cut([("near", {"keep": 5})], parts=parts)
        assert measures["photo"] in str(caught.value)
        assert str(whole.files[0].samples) in str(caught.value)
        assert whole.cut([], parts=parts).facts["kept"] == 10  # no rule looks at a measure


def test_a_quarantine_of_rows_that_are_not_there_stops_the_split(tmp_path: Path) -> None:
    pool = Pool(tmp_path, [ties(10)])
    part = replace(pool.files[0], quarantined=(set_aside(pool, "image", [(ties(1)[0], "nan", 77)]),))
    with pytest.raises(RunFailedError, match="9 samples can be chosen from, but 10 were loaded"):
        pool.cut([], parts=(part,))


def test_parts_that_were_measured_differently_are_refused(tied: Pool) -> None:
    first, *others = tied.files
    with pytest.raises(DataError, match="measured differently: photo, sketch, art and photo"):
        tied.cut([], parts=(first, replace(others[0], measures={"photo": others[0].measures["photo"]})))


def test_scores_alone_make_a_split(tied: Pool) -> None:
    rules = [("far", {"keep": 100})]
    found = tied.cut(rules, parts=tied.without_samples())
    assert found.uids == expected(rules, tied.samples)[0]
    assert found.kept.column_names == ["uid", *BENCHMARKS]
    assert "keys.txt" not in found.files
    rules = [("random", {"keep": 100})]
    assert tied.cut(rules, parts=tied.without_samples()).uids == expected(rules, tied.samples)[0]


def test_samples_alone_make_a_split(tied: Pool) -> None:
    bare = tied.without_measures()
    found = tied.cut([("where", "width > 4"), ("random", {"keep": 50})], parts=bare, benchmarks=())
    rules = [("where", {"at_least": 5}), ("random", {"keep": 50})]
    assert found.uids == expected(rules, tied.samples)[0]
    with pytest.raises(
        PlanError, match=r"splits.core\[0\].far needs the measure similarity, and this pool has none"
    ):
        tied.cut([("far", {"keep": 5})], parts=bare)
    with pytest.raises(PlanError, match="has neither"):
        tied.cut([], parts=())


def test_splits_cut_together_are_those_cut_alone(tied: Pool) -> None:
    recipes: dict[str, list[tuple[str, Any]]] = {
        "near": [("near", {"to": ["photo"]})],
        "far": [("far", {"keep": 100, "to": ["sketch"]})],
        "wide": [("where", "width >= 4 AND art.similarity < 0.5"), ("random", {"keep": 9})],
        "rand": [("random", {"keep": 300})],
        "rank": [("far", {"keep": 100, "combine": "rank"})],
    }
    together = tied.cut_all(tuple(SplitRequest(name, tuple(rules)) for name, rules in recipes.items()))
    for name, rules in recipes.items():
        assert together[name].files == tied.cut(rules, name=name).files
    assert together["near"].kept.schema.field("photo").type == pa.struct([("margin", pa.float64())])
    assert together["wide"].kept.column_names[5:] == ["width", "art"]


def test_each_file_is_read_once_for_all_splits(tied: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[str, tuple[str, ...]]] = []
    plain = pool_rows.read_batches

    def noted(path: str, columns: list[str], rows: int) -> Any:
        read.append((path, tuple(columns)))
        return plain(path, columns, rows)

    monkeypatch.setattr(pool_rows, "read_batches", noted)
    rules = [
        [("near", {"to": ["photo"]})],
        [("far", {"to": ["photo", "art"], "keep": 3})],
        [("random", {"keep": 3})],
    ]
    tied.cut_all(tuple(SplitRequest(f"s{n}", tuple(each)) for n, each in enumerate(rules)))
    wanted = [
        path for part in tied.files for path in (part.samples, part.measures["photo"], part.measures["art"])
    ]
    assert sorted(path for path, _ in read) == sorted(map(str, wanted))
    assert {columns for path, columns in read if path == tied.files[0].measures["art"]} == {
        ("uid", "similarity")
    }


def test_what_decided_stands_beside_what_was_dropped(tied: Pool) -> None:
    samples = {sample.uid: sample for sample in tied.samples}
    near = tied.cut([("near", {"to": ["photo"]}), ("where", "width > 3 AND sketch.similarity < 0.9")])
    assert near.dropped.column_names == ["uid", "key", "rule", "decided"]
    assert set(near.reasons.values()) == {"1:near", "2:where"}
    for uid, rule in near.reasons.items():
        sample = samples[uid]
        if rule == "1:near":
            assert float(near.decided[uid] or "nan") == sample.similarity[0] - THRESHOLD > 0
        else:
            assert near.decided[uid] == f"sketch.similarity={sample.similarity[1]}, width={sample.width}"
    keys = dict(zip(near.dropped["uid"].to_pylist(), near.dropped["key"].to_pylist(), strict=True))
    assert keys == {samples[uid].hex: samples[uid].key for uid in near.reasons}
    assert set(tied.cut([("random", {"keep": 5})]).decided.values()) == {None}


def test_each_step_has_its_words(tied: Pool) -> None:
    found = tied.cut([("near", {"to": ["art"]}), ("far", {"keep": 50}), ("random", {"fraction": 0.5})])
    assert [step["words"] for step in found.facts["waterfall"]["dropped"]] == [
        "drops what has a margin above 0 to any of art",
        "keeps 50 with the highest similarity to any of photo, sketch, art",
        "keeps a share of 0.5, drawn by hash with seed 0",
    ]


def test_the_pool_s_own_label_is_carried(tmp_path: Path) -> None:
    pool = Pool(tmp_path, [[Sample(n, (0.0,) * 3, label=label) for n, label in enumerate(["cat", None])]])
    assert pool.cut([]).kept["label"].to_pylist() == ["cat", None]
    assert pool.cut([("where", "label = 'cat'")]).uids == [0]
