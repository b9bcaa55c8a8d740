"""The commands around a run, and what a run leaves behind."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import whole_runs
from small_sets import plan_of, rows_of, unit, write_part, write_plan, write_sets
from whole_runs import Run


@pytest.fixture
def finished(finished_sets: Path) -> Path:
    return finished_sets


def exact(folder: Path, left: str, right: str) -> np.ndarray:
    """All similarities between two sets, in float64."""
    both = []
    for name in (left, right):
        files = sorted((folder / name / "img_emb").glob("*.npy"))
        both.append(np.concatenate([np.load(file) for file in files]).astype(np.float64))
    return both[0] @ both[1].T


def test_measures_equal_brute_force(finished: Path) -> None:
    for name in ("one", "two"):
        similarity = exact(finished, "pool", name)
        threshold = exact(finished, "reference", name).max(axis=0)
        files = sorted((finished / "out" / "measures" / "similarity" / name).glob("part-*.parquet"))
        columns = [row for file in files for row in pq.read_table(file).to_pylist()]
        assert [row["similarity"] for row in columns] == similarity.max(axis=1).tolist()
        assert [row["nearest"] for row in columns] == similarity.argmax(axis=1).tolist()
        assert [row["margin"] for row in columns] == (similarity - threshold).max(axis=1).tolist()
        queries = pq.read_table(finished / "out" / "indexes" / name / "queries.parquet")
        assert queries.column("threshold").to_pylist() == threshold.tolist()


def test_neighbours_of_the_pool_and_of_each_split_equal_brute_force(finished: Path) -> None:
    out = finished / "out"
    files = sorted((out / "measures" / "similarity" / "one").glob("part-*.parquet"))
    uids = np.array([uid for file in files for uid in pq.read_table(file).column("uid").to_pylist()])
    for benchmark in ("one", "two"):
        similarity = exact(finished, "pool", benchmark)
        for split in (None, "pruned", "core", "control", "wide", "mixed"):
            kept = np.ones(len(uids), bool)
            if split:
                parts = sorted((out / "splits" / split).glob("part-*.parquet"))
                kept = np.isin(uids, [u for p in parts for u in pq.read_table(p).column("uid").to_pylist()])
            folder = out / "splits" / split / "neighbours" if split else out / "neighbours" / benchmark
            rows = pq.read_table(folder / "part-0000.parquet").to_pylist()
            rows = [row for row in rows if row.get("benchmark", benchmark) == benchmark]
            for query in range(similarity.shape[1]):
                found = [(row["uid"], row["similarity"]) for row in rows if row["query"] == query]
                ranked = sorted(
                    zip(uids[kept], similarity[kept, query], strict=True),
                    key=lambda pair: (-pair[1], pair[0]),
                )
                assert found == [(str(uid), float(value)) for uid, value in ranked[: len(found)]]
                assert len(found) == 10 if split is None else 1 <= len(found) <= 10


def test_indexes_open_in_plain_faiss(finished: Path) -> None:
    index = faiss.read_index(str(finished / "out" / "indexes" / "one" / "index.faiss"))
    stored = np.load(finished / "one" / "img_emb" / "img_emb_0.npy").astype(np.float32)
    assert index.ntotal == 20
    np.testing.assert_array_equal(index.reconstruct_n(0, 20), stored)


def test_every_row_ends_in_one_place(finished: Path) -> None:
    for name in plan_of(finished)["splits"]:
        folder = finished / "out" / "splits" / name
        waterfall = json.loads((folder / "split.json").read_text())["waterfall"]
        dropped = (
            sum(waterfall["dropped"].values())
            if isinstance(waterfall["dropped"], dict)
            else sum(step["dropped"] for step in waterfall["dropped"])
        )
        lost = sum(waterfall["failed"].values()) + sum(waterfall["quarantined"].values())
        assert waterfall["rows_in"] == 360 == waterfall["kept"] + dropped + lost + waterfall["duplicates"]


def test_unusable_vectors_are_quarantined_with_their_reason(tmp_path: Path, cli: Run) -> None:
    write_sets(tmp_path)
    vectors = unit(40, 6).astype(np.float32)
    vectors[0, 3], vectors[1, 0], vectors[2] = np.nan, np.inf, 0
    vectors[3] *= 7
    write_part(tmp_path / "pool", 3, vectors, rows_of("bad", 0, 6))
    assert cli("run", str(write_plan(tmp_path)))[0] == 0
    folder = tmp_path / "out" / "lost" / "vectors" / "pool" / "clip image"
    lost = pq.read_table(folder / "part-0003.parquet").to_pylist()
    assert [(row["key"], row["reason"]) for row in lost] == [
        ("bad000000", "nan"), ("bad000001", "infinite"), ("bad000002", "zero"),
    ]  # fmt: skip
    waterfall = json.loads((tmp_path / "out" / "splits" / "pruned" / "split.json").read_text())["waterfall"]
    assert sum(waterfall["quarantined"].values()) == 3
    record = json.loads((tmp_path / "out" / "commits" / "measure" / "set aside clip 0003.json").read_text())
    assert record["facts"]["normalised"] == 1


def split_bytes(out: Path) -> dict[str, str]:
    files = [
        path for path in sorted((out / "splits").rglob("*")) if path.is_file() and path.name != "split.json"
    ]
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_shard_order_and_shard_size_change_no_split(finished: Path, cli: Run) -> None:
    before = split_bytes(finished / "out")
    vectors = np.concatenate([np.load(finished / "pool" / "img_emb" / f"img_emb_{i}.npy") for i in (2, 0, 1)])
    rows = [row for i in (2, 0, 1) for row in rows_of("p", 120 * i, 120)]
    write_part(finished / "shuffled", 0, vectors[:50], rows[:50])
    write_part(finished / "shuffled", 7, vectors[50:], rows[50:])
    pool = {"path": str(finished / "shuffled"), "format": "clip-retrieval"}
    plan = write_plan(finished, pool=pool, output=str(finished / "again"))
    assert cli("run", str(plan))[0] == 0
    assert split_bytes(finished / "again") == before
    assert len(before) >= 5 * 4


@pytest.mark.parametrize(("unit_rows", "parts"), [(121, [0, 1]), (10_000, [0])])
def test_parts_of_several_shards_change_no_split(
    finished: Path, cli: Run, unit_rows: int, parts: list[int]
) -> None:
    plan = write_plan(finished, output=str(finished / "again"), engine={"unit_rows": unit_rows})
    assert cli("run", str(plan))[0] == 0
    one_each, grouped = (whole_runs.committed(finished / name) for name in ("out", "again"))
    for folder in ("samples/pool", "measures/similarity/one", "internal/nearest/two", "lost/read/pool"):
        found = [path for path in grouped if path.startswith(f"{folder}/")]
        assert found == [f"{folder}/part-{number:04d}.parquet" for number in parts]
    alike = ("splits/", "neighbours/", "indexes/")
    # What says of itself from which files it was made differs; what is in it does not.
    apart = "split.json"
    data = [
        {p: d for p, d in run.items() if p.startswith(alike) and not p.endswith(apart)}
        for run in (one_each, grouped)
    ]
    assert data[0] == data[1]
    assert len(data[0]) > 30
    assert cli("verify", str(finished / "again"))[0] == 0


def test_plan_touches_nothing_and_knows_what_is_done(tmp_path: Path, cli: Run) -> None:
    write_sets(tmp_path)
    plan = str(write_plan(tmp_path))
    code, output, errors = cli("plan", plan, "--json")
    assert code == 0, errors
    stages = {stage["stage"]: stage for stage in json.loads(output)["stages"]}
    assert "GFLOP/s" in cli("plan", plan)[1]
    assert not (tmp_path / "out").exists()
    assert stages["measure"]["units"] == 9  # two benchmarks and the rows that are set aside, for three parts
    assert stages["measure"]["done"] == 0
    assert stages["read"]["units"] == 6
    assert stages["measure"]["reads"] == 360 * 16 * 2
    assert cli("run", plan)[0] == 0
    code, output, _ = cli("plan", plan, "--json")
    stages = {stage["stage"]: stage for stage in json.loads(output)["stages"]}
    assert all(stage["done"] == stage["units"] for stage in stages.values()), stages


def test_plan_asks_what_a_run_with_the_same_words_would_do(
    tmp_path: Path, cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_sets(tmp_path)
    plan = str(write_plan(tmp_path))
    for name in ("run", "plan"):
        monkeypatch.setattr("sys.argv", ["nearfar", name, plan, "--json"])
        code, output, errors = cli(name, plan, "--json")
        assert code == 0, errors
    report = json.loads(output)["stages"][-1]
    assert (report["stage"], report["done"]) == ("report", 1)


@pytest.mark.parametrize("empty", [1, 3])
def test_plan_measures_a_shard_that_has_rows(tmp_path: Path, cli: Run, empty: int) -> None:
    write_sets(tmp_path)
    for number in range(empty):
        write_part(tmp_path / "pool", number, unit(10, 0), [])
    code, output, errors = cli("plan", str(write_plan(tmp_path)), "--json")
    assert code == 0, errors
    assert json.loads(output)["rates"]["products"] > 0


def test_plan_says_what_is_missing(cli: Run) -> None:
    code, _, errors = cli("plan", "data_manifests/plans/laion200m_near_pruned.yaml")
    assert code == 2
    for words in ("imagenet_sketch", "reference.path", "data/laion200m"):
        assert words in errors


def test_verify_is_content_with_a_sound_run(finished: Path, cli: Run) -> None:
    code, output, errors = cli("verify", str(finished / "out"), "--json")
    assert code == 0, errors
    found = json.loads(output)
    assert found["decisions"] == 256
    assert found["thresholds"] == 35
    assert found["files"] > 30
    assert found["problems"] == []


def test_verify_finds_a_flipped_byte(finished: Path, cli: Run) -> None:
    path = finished / "out" / "splits" / "pruned" / "uids.npy"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    code, output, _ = cli("verify", str(finished / "out"))
    assert code == 1
    assert "splits/pruned/uids.npy" in output


def test_verify_finds_a_wrong_decision(finished: Path, cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A measure that is off by one bit, committed as if it were right, is found by the float64 path."""
    import pipeline.verifying.recomputing as module

    def off(path: Path, columns: list[str] | None = None) -> object:
        table = read(path, columns)
        if "measures/similarity/one" not in str(path):
            return table
        values = np.nextafter(table.column("similarity").to_numpy(), 2)
        return table.set_column(1, "similarity", pa.array(values))

    read = module.read_parquet
    monkeypatch.setattr(module, "read_parquet", off)
    code, output, _ = cli("verify", str(finished / "out"))
    assert code == 1
    assert "one.similarity" in output


def test_the_report_is_written_again(finished: Path, cli: Run) -> None:
    path = finished / "out" / "report" / "report.html"
    before = path.read_bytes()
    path.unlink()
    assert cli("report", str(finished / "out"))[0] == 0
    assert path.read_bytes() == before


def test_audit_without_a_plan_file(finished: Path, cli: Run) -> None:
    arguments = ["audit", "--pool", str(finished / "pool"), "--benchmark", f"one={finished / 'one'}"]
    code, _, errors = cli(*arguments, "--out", str(finished / "audited"), "--fail-above", "0.9999")
    assert code == 0, errors
    similarity = exact(finished, "pool", "one").max(axis=0)
    share = float((similarity > 0.9).mean())
    assert 0 < share < 1
    more = [
        *arguments,
        "--out",
        str(finished / "audited"),
        "--reference",
        str(finished / "reference"),
        "--overwrite",
    ]
    code, _, errors = cli(*more, "--fail-above", f"0.9:{share + 0.01}")
    assert code == 0, errors
    code, _, errors = cli(*more, "--fail-above", f"0.9:{share - 0.01}")
    assert code == 1
    assert "one" in errors
    assert (finished / "audited" / "report" / "audit.json").is_file()
    assert cli(*more, "--fail-above", "many")[0] == 2
    assert cli(*arguments, "--benchmark", "one=x", "--out", str(finished / "x"))[0] == 2
    assert (
        cli("audit", "--pool", str(finished / "out"), "--benchmark", f"one={finished / 'one'}", "--out", "x")[
            0
        ]
        == 2
    )


def test_a_planted_leak_fails_an_audit(finished: Path, cli: Run) -> None:
    copies = np.load(finished / "one" / "img_emb" / "img_emb_0.npy")[:4]
    write_part(finished / "pool", 3, copies, rows_of("leak", 0, 4))
    arguments = ["--pool", str(finished / "pool"), "--benchmark", f"one={finished / 'one'}"]
    code, _, errors = cli("audit", *arguments, "--out", str(finished / "audited"), "--fail-above", "0.995")
    assert code == 1
    assert "4 of 20" in errors


def test_schema_is_the_one_in_the_repository(cli: Run) -> None:
    code, output, _ = cli("schema")
    assert code == 0
    assert json.loads(output)["title"]


def test_workers_give_the_same_splits(finished: Path, cli: Run) -> None:
    plan = write_plan(finished, output=str(finished / "workers"))
    code, _, errors = cli("run", str(plan), "--workers", "2")
    assert code == 0, errors
    assert split_bytes(finished / "workers") == split_bytes(finished / "out")


def test_the_version_is_that_of_the_package(cli: Run) -> None:
    project = tomllib.loads((whole_runs.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert cli("--version") == (0, f"nearfar {project['version']}\n", "")
