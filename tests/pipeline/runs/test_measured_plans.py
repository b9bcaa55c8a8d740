"""Plans with measures beyond similarity: of captions alone, of two encoders, and of what cannot be met."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import whole_runs
import yaml
from small_sets import plan_of, rows_of, unit, write_part, write_plan
from whole_runs import Run

from indexes.canonical import canonical
from pipeline.execution.work import OUTPUT_VERSION

TINY = whole_runs.ROOT / "data_manifests" / "encoders" / "tiny"


def table(folder: Path, *names: str) -> pa.Table:
    return pa.concat_tables(
        [pq.read_table(file) for file in sorted((folder.joinpath(*names)).glob("part-*"))]
    )


def refuse(cli: Run, plan: Path, *words: str) -> None:
    """Both commands refuse, in the same words."""
    code, _, errors = cli("run", str(plan))
    assert code == 2, errors
    for word in words:
        assert word in errors, errors
    code, _, planned = cli("plan", str(plan))
    assert code == 2
    assert planned.splitlines()[-1] == errors.splitlines()[-1]


def metadata_pool(folder: Path, captions: list[str | None]) -> Path:
    """A pool of captions and sizes alone, as LAION's metadata has it."""
    folder.mkdir()
    rows = len(captions)
    columns = {
        "URL": [f"http://x.test/{n}" for n in range(rows)],
        "TEXT": captions,
        "WIDTH": pa.array([100 + n % 300 for n in range(rows)], pa.int32()),
        "HEIGHT": pa.array([150 + n % 400 for n in range(rows)], pa.int32()),
        "similarity": pa.array(np.linspace(0, 0.5, rows), pa.float64()),
    }
    pq.write_table(pa.table(columns), folder / "part-00000.parquet")
    return folder


def caption_plan(folder: Path, pool: Path, splits: Any, **more: Any) -> Path:
    plan = {
        "name": "captions",
        "pool": {"path": str(pool)},
        "splits": splits,
        "output": str(folder / "out"),
    } | more
    path = folder / "captions.yaml"
    path.write_text(yaml.safe_dump(plan, sort_keys=False))
    return path


def test_a_plan_of_captions_and_scores_alone(tmp_path: Path, cli: Run) -> None:
    captions = [None if n % 11 == 0 else " ".join(["word"] * (n % 6)) for n in range(500)]
    pool = metadata_pool(tmp_path / "pool", captions)
    splits = {
        "basic": [{"basic": {}}],
        "scored": [{"clip-score": {"fraction": 0.3, "column": "similarity"}}],
        "long": [{"where": "captions.words >= 3"}],
    }
    code, said, errors = cli("run", str(caption_plan(tmp_path, pool, splits)))
    assert code == 0, errors
    assert "report" in said
    kept = {name: table(tmp_path, "out", "splits", name) for name in splits}
    long = [n for n, text in enumerate(captions) if text and len(text.split()) >= 3]
    assert sorted(kept["long"]["url"].to_pylist()) == sorted(f"http://x.test/{n}" for n in long)
    fits = [n for n in long if len(captions[n] or "") > 5 and min(100 + n % 300, 150 + n % 400) >= 200]
    fits = [n for n in fits if max(100 + n % 300, 150 + n % 400) / min(100 + n % 300, 150 + n % 400) <= 3]
    assert sorted(kept["basic"]["url"].to_pylist()) == sorted(f"http://x.test/{n}" for n in fits)
    assert sorted(kept["scored"]["url"].to_pylist()) == sorted(f"http://x.test/{n}" for n in range(350, 500))
    assert not (tmp_path / "out" / "embeddings").exists()
    assert cli("verify", str(tmp_path / "out"))[0] == 0


def highest_of(uids: list[str], key: np.ndarray, rows: Iterable[int], count: int) -> list[int]:
    return sorted(rows, key=lambda n: (-key[n], uids[n]))[:count]


def test_two_encoders_compare_each_benchmark_with_its_own_vectors(tmp_path: Path, cli: Run) -> None:
    """DataComp's arrays b32_* and l14_*, and a benchmark in the space of each."""
    rng = np.random.default_rng(0)
    wide, narrow = unit(1, 60, 24), unit(2, 60, 16)
    (tmp_path / "pool").mkdir()
    uids = [f"{n:032x}" for n in rng.integers(0, 2**62, 60)]
    arrays = {"b32_img": narrow, "b32_txt": unit(3, 60, 16), "l14_img": wide, "l14_txt": unit(4, 60, 24)}
    np.savez(tmp_path / "pool" / "aa.npz", **arrays)
    columns = {"uid": uids, "url": [f"http://x/{n}" for n in range(60)], "text": ["t"] * 60}
    pq.write_table(pa.table(columns), tmp_path / "pool" / "aa.parquet")
    write_part(tmp_path / "small", 0, unit(5, 9, 16), rows_of("s", 0, 9))
    write_part(tmp_path / "large", 0, unit(6, 7, 24), rows_of("l", 0, 7))
    encoder = {"model": str(TINY), "pretrained": str(TINY / "open_clip_model.safetensors")}
    plan = {
        "name": "two",
        "pool": {"path": str(tmp_path / "pool"), "format": "datacomp"},
        "encoders": {"b32": dict(encoder), "l14": dict(encoder)},
        "benchmarks": {
            "small": {"path": str(tmp_path / "small"), "encoder": "b32"},
            "large": {"path": str(tmp_path / "large"), "encoder": "l14"},
        },
        "measures": {
            "norm_sim": {"to": "small"},
            "squared": {"measure": "norm_sim", "to": "large", "norm": 2},
        },
        "splits": {
            "far": [{"far": {"to": "all", "keep": 20}}],
            "fit": [{"clip-score": {"keep": 30}}],
            "aimed": [{"norm-sim": {"keep": 11, "measure": "squared"}}],
            "both": [{"neg-clip-loss": {"fraction": 0.5, "norm_sim": 0.25}}],
        },
        "output": str(tmp_path / "out"),
    }
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan, sort_keys=False))
    code, _, errors = cli("run", str(tmp_path / "plan.yaml"))
    assert code == 0, errors
    best, products = {}, {}
    for name, vectors in (("small", narrow), ("large", wide)):
        queries = np.load(tmp_path / name / "img_emb" / "img_emb_0.npy").astype(np.float64)
        products[name] = vectors.astype(np.float64) @ queries.T
        best[name] = products[name].max(axis=1)
        found = table(tmp_path, "out", "measures", "similarity", name)
        assert found["uid"].to_pylist() == uids
        assert found["similarity"].to_pylist() == best[name].tolist()
    highest = np.maximum(best["small"], best["large"])
    order = sorted(range(60), key=lambda n: (-highest[n], uids[n]))
    assert table(tmp_path, "out", "splits", "far")["uid"].to_pylist() == sorted(uids[n] for n in order[:20])
    texts = canonical(arrays["b32_txt"]).vectors.astype(np.float64)
    score = np.einsum("ij,ij->i", narrow.astype(np.float64), texts)
    order = sorted(range(60), key=lambda n: (-score[n], uids[n]))
    assert table(tmp_path, "out", "splits", "fit")["uid"].to_pylist() == sorted(uids[n] for n in order[:30])
    largest = np.abs(products["small"]).max(axis=1)
    assert table(tmp_path, "out", "measures", "norm_sim")["norm_sim"].to_pylist() == largest.tolist()
    # The target's own encoder is looked at: 24 numbers, not 16.
    kept = highest_of(uids, np.linalg.norm(products["large"], axis=1), range(60), 11)
    assert table(tmp_path, "out", "splits", "aimed")["uid"].to_pylist() == sorted(uids[n] for n in kept)
    # A pool smaller than the batch is its own batch.
    scores = narrow.astype(np.float64) @ texts.T
    sums = [0.01 * np.log(np.exp(scores / 0.01).sum(axis=axis)) for axis in (0, 1)]
    half = highest_of(uids, score - (sums[0] + sums[1]) / 2, range(60), 30)
    kept = highest_of(uids, largest, half, 15)
    assert table(tmp_path, "out", "splits", "both")["uid"].to_pylist() == sorted(uids[n] for n in kept)
    assert cli("verify", str(tmp_path / "out"))[0] == 0
    # In the space of another encoder nothing fits.
    plan["benchmarks"]["large"]["encoder"] = "b32"  # type: ignore[index]
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan, sort_keys=False))
    code, _, errors = cli("run", str(tmp_path / "plan.yaml"))
    assert code == 2
    assert "large has vectors of width 24, the pool has 16" in errors


def test_text_embeddings_need_captions_and_an_encoder(sets: Path, cli: Run) -> None:
    splits = {"fit": [{"clip-score": {"fraction": 0.5}}]}
    code, _, errors = cli("run", str(write_plan(sets, splits=splits)))
    assert code == 2
    assert "pool" in errors
    assert "text embeddings" in errors
    for number in range(3):
        path = sets / "pool" / "metadata" / f"metadata_{number}.parquet"
        pq.write_table(pq.read_table(path).drop_columns(["caption"]), path)
    encoder = {"model": str(TINY), "pretrained": str(TINY / "open_clip_model.safetensors")}
    code, _, errors = cli("run", str(write_plan(sets, splits=splits, encoder=encoder)))
    assert code == 2
    assert "has no captions" in errors


def test_clusters_need_a_number_and_rows(sets: Path, cli: Run) -> None:
    splits = {"spread": [{"cap": {"by": "clusters.cluster", "most": 3}}]}
    refuse(cli, write_plan(sets, splits=splits), "clusters", "told its options")
    code, _, errors = cli("run", str(write_plan(sets, splits=splits, measures={"clusters": {"k": 1000}})))
    assert code == 2
    assert "1000 clusters from a sample of 360 rows" in errors
    assert "Lower k" in errors


def test_a_target_is_a_set_of_the_plan(sets: Path, cli: Run) -> None:
    plan = write_plan(sets, measures={"norm_sim": {"to": "three"}})
    refuse(
        cli, plan, "measures.norm_sim.to: 'three' is not in this plan; it has: one, two, reference. Name one"
    )


def test_a_cap_by_cluster_keeps_so_many_of_each(sets: Path, cli: Run) -> None:
    splits = {"spread": [{"cap": {"by": "clusters.cluster", "most": 3}}]}
    plan = write_plan(sets, splits=splits, measures={"clusters": {"k": 7}, "cluster_size": None})
    assert cli("run", str(plan))[0] == 0
    assigned = table(sets, "out", "measures", "clusters")
    cluster = dict(zip(assigned["uid"].to_pylist(), assigned["cluster"].to_pylist(), strict=True))
    kept = [cluster[uid] for uid in table(sets, "out", "splits", "spread")["uid"].to_pylist()]
    counts = {number: kept.count(number) for number in set(cluster.values())}
    sizes = {number: list(cluster.values()).count(number) for number in set(cluster.values())}
    assert counts == {number: min(3, size) for number, size in sizes.items()}
    found = table(sets, "out", "measures", "cluster_size")
    assert [sizes[cluster[uid]] for uid in found["uid"].to_pylist()] == found["cluster_size"].to_pylist()


def test_clusters_that_a_target_takes_and_dense_ones(sets: Path, cli: Run) -> None:
    splits = {"taken": [{"image-based": {}}], "dense": [{"density": {"keep": 101}}]}
    clusters = {"k": 9, "spherical": False, "assign": "product", "target": "one"}
    code, _, errors = cli("run", str(write_plan(sets, splits=splits, measures={"clusters": clusters})))
    assert code == 0, errors
    found = table(sets, "out", "measures", "clusters").to_pylist()
    counted = {row["cluster"]: row["target"] for row in found}
    assert 0 < sum(counted.values()) <= 20, "20 queries take a cluster each"
    taken = {row["uid"] for row in found if row["target"] > 0}
    assert 0 < len(taken) < len(found)
    assert set(table(sets, "out", "splits", "taken")["uid"].to_pylist()) == taken
    kept = set(table(sets, "out", "splits", "dense")["uid"].to_pylist())
    assert len(kept) == 101
    within = {row["uid"]: row["d_intra"] for row in table(sets, "out", "measures", "density").to_pylist()}
    for cluster in counted:
        rows = sorted(
            (row for row in found if row["cluster"] == cluster),
            key=lambda row: (row["similarity"], row["uid"]),
        )
        stays = [row["uid"] in kept for row in rows]
        assert stays == sorted(stays, reverse=True), "the farthest from the centroid stay"
        mean = np.mean([1 - row["similarity"] for row in rows])
        assert within[rows[0]["uid"]] == pytest.approx(mean, rel=1e-13)
    # Another target is looked at once, and trains nothing anew.
    trained = (sets / "out" / "internal" / "models" / "clusters.npz").stat().st_mtime_ns
    other = {"clusters": clusters | {"target": "two"}, "norm_sim": {"to": "two", "norm": 2}}
    code, _, errors = cli("run", str(write_plan(sets, splits=splits, measures=other)))
    assert code == 0, errors
    assert "target: 2/2 units" in errors
    assert "train: 0/" not in errors  # it stands
    assert (sets / "out" / "internal" / "models" / "clusters.npz").stat().st_mtime_ns == trained
    again = table(sets, "out", "measures", "clusters").to_pylist()
    assert [row["cluster"] for row in again] == [row["cluster"] for row in found]
    assert [row["target"] for row in again] != [row["target"] for row in found]
    code, _, errors = cli("run", str(write_plan(sets, splits=splits, measures={"clusters": {"k": 9}})))
    assert code == 2
    assert "Name a benchmark under measures.clusters.target" in errors


def test_a_measure_of_a_column_that_is_not_there(sets: Path, cli: Run) -> None:
    code, _, errors = cli("run", str(write_plan(sets, measures={"clip_score": {"column": "score"}})))
    assert code == 2
    assert "'score'" in errors
    assert "width" in errors


@pytest.mark.parametrize(
    ("predicate", "words"),
    [
        ("drop table x; select 1", ["where"]),
        ("caption like '%cat%' and", ["where"]),
        ("sum(width) > 3", ["where", "sum"]),
        ("nowhere = 1", ["where", "nowhere", "width"]),
        ("captions.lines > 1", ["where", "captions"]),
    ],
)
def test_plan_refuses_what_run_would(sets: Path, cli: Run, predicate: str, words: list[str]) -> None:
    refuse(cli, write_plan(sets, splits={"some": [{"where": predicate}]}), *words)
    assert not (sets / "out").exists()


def test_an_output_of_an_older_version_is_refused(sets: Path, cli: Run) -> None:
    plan = write_plan(sets)
    assert cli("run", str(plan))[0] == 0
    lock = sets / "out" / "plan.lock.yaml"
    # An older version wrote no digest under its lock.
    older = lock.read_text().replace(f"version: {OUTPUT_VERSION}", "version: 2").splitlines()[:-1]
    lock.write_text("\n".join(older) + "\n")
    code, _, errors = cli("run", str(plan))
    assert code == 2
    assert "another version of nearfar" in errors
    assert "--overwrite" in errors
    assert cli("run", str(plan), "--overwrite")[0] == 0


def test_a_pool_that_is_its_own_output(sets: Path, cli: Run) -> None:
    refuse(cli, write_plan(sets, output=str(sets / "pool")), str(sets / "pool"))


def test_split_facts_name_what_was_kept_and_why(sets: Path, cli: Run) -> None:
    assert cli("run", str(write_plan(sets)))[0] == 0
    facts = json.loads((sets / "out" / "splits" / "wide" / "split.json").read_text())
    assert [step["rule"] for step in facts["waterfall"]["dropped"]] == ["where", "near"]
    assert plan_of(sets)["name"] == "small"
