"""Measuring that adds up: what is new costs its own work, what stands stays, and only --overwrite removes it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import whole_runs
import yaml
from small_sets import plan_of, rows_of, unit, write_part, write_plan, write_sets

from pipeline.cli import main

Go = Callable[..., set[str]]


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    write_sets(tmp_path)
    return tmp_path


@pytest.fixture
def go(sets: Path, capsys: pytest.CaptureFixture[str]) -> Go:
    """Run the plan with changes; returns the committed files that were written, without the report."""

    def run(*options: str, code: int = 0, **changes: Any) -> set[str]:
        before = stamps(sets / "out")
        with pytest.raises(SystemExit) as stopped:
            main(["run", str(write_plan(sets, **changes)), *options])
        said = capsys.readouterr()
        assert int(stopped.value.code or 0) == code, said.err
        now = stamps(sets / "out")
        return {path for path, stamp in now.items() if before.get(path) != stamp}

    return run


def stamps(out: Path) -> dict[str, int]:
    kept = (
        (path for path in whole_runs.committed(out) if not path.startswith("report/")) if out.exists() else ()
    )
    return {path: (out / path).stat().st_mtime_ns for path in kept}


def folders(paths: set[str]) -> set[str]:
    return {
        "/".join(path.split("/")[:3]) if path.startswith("measures/") else path.split("/")[0]
        for path in paths
    }


def test_a_further_benchmark_costs_its_own_work(sets: Path, go: Go) -> None:
    both = plan_of(sets)["benchmarks"]
    splits = {"pruned": [{"near": {"to": ["one"]}}], "some": [{"where": "width >= 100"}]}
    go(benchmarks={"one": both["one"]}, splits=splits)
    written = go(splits=splits)
    assert any(path.startswith("measures/similarity/two/") for path in written)
    assert not any("/one/" in path for path in written if not path.startswith("splits/"))
    # What a split keeps hangs on the columns that its rules name; only its neighbours know of the new benchmark.
    assert {path for path in written if path.startswith("splits/")} == {
        f"splits/{name}/neighbours/part-0000.parquet" for name in splits
    }


def test_further_measures_and_splits_cost_their_own_work(sets: Path, go: Go) -> None:
    go()
    measures = {"clusters": {"k": 5}, "captions": None, "cluster_size": None}
    splits = plan_of(sets)["splits"] | {
        "long": [{"where": "captions.characters >= 10 AND clusters.cluster < 3"}]
    }
    written = go(measures=measures, splits=splits)
    assert folders(written) == {
        *("measures/clusters/part-0000.parquet", "measures/clusters/part-0001.parquet"),
        *("measures/clusters/part-0002.parquet", "measures/captions/part-0000.parquet"),
        *("measures/captions/part-0001.parquet", "measures/captions/part-0002.parquet"),
        *("measures/cluster_size/part-0000.parquet", "measures/cluster_size/part-0001.parquet"),
        *("measures/cluster_size/part-0002.parquet", "internal", "splits"),
    }
    assert {path.split("/")[1] for path in written if path.startswith("splits/")} == {"long"}
    assert go(measures=measures, splits=splits) == set()


def test_more_neighbours_are_found_without_reading_the_set_again(go: Go) -> None:
    go()
    written = go(neighbours=12)
    assert not {"samples", "indexes", "embeddings", "lost"} & folders(written)
    assert {path for path in written if path.startswith("splits/") and "/neighbours/" not in path} == set()


def test_another_reference_calibrates_again_and_reads_no_pool(sets: Path, go: Go) -> None:
    go()
    write_part(sets / "other", 0, unit(77, 50), rows_of("o", 0, 50))
    written = go(reference={"path": str(sets / "other"), "format": "clip-retrieval"})
    assert not any(path.startswith("samples/") and "reference" not in path for path in written)
    assert "measures/similarity/one" in {"/".join(path.split("/")[:3]) for path in written}


def test_the_same_bytes_elsewhere_or_touched_are_the_same_set(sets: Path, go: Go) -> None:
    go()
    for file in sorted((sets / "pool").rglob("*.npy")):
        os.utime(file)
    assert go() == set()
    shutil.copytree(sets / "pool", sets / "moved")
    shutil.rmtree(sets / "pool")
    assert go(pool={"path": str(sets / "moved"), "format": "clip-retrieval"}) == set()


def test_a_changed_file_changes_its_part(sets: Path, go: Go) -> None:
    go(splits={"core": [{"far": {"to": "all", "keep": 100}}]})
    path = sets / "pool" / "img_emb" / "img_emb_1.npy"
    vectors = np.load(path)
    vectors[0] = np.load(sets / "one" / "img_emb" / "img_emb_0.npy")[0]
    np.save(path, vectors)
    written = go(splits={"core": [{"far": {"to": "all", "keep": 100}}]})
    measured = {path for path in written if path.startswith("measures/")}
    assert measured == {f"measures/similarity/{name}/part-0001.parquet" for name in ("one", "two")}
    assert "splits/core/uids.npy" in written


def test_parts_of_shards_that_are_gone_are_retired(sets: Path, go: Go) -> None:
    go()
    for name in ("img_emb/img_emb_1.npy", "metadata/metadata_1.parquet"):
        (sets / "pool" / name).unlink()
    go()
    left = whole_runs.committed(sets / "out")
    assert not [path for path in left if path.endswith("part-0001.parquet")]
    on_disk = {str(path.relative_to(sets / "out")) for path in (sets / "out").rglob("part-0001.parquet")}
    assert on_disk == set()


def test_keep_first_after_the_complaint_needs_no_second_look(sets: Path, go: Go) -> None:
    write_part(sets / "pool", 3, unit(10, 120)[:5], rows_of("p", 0, 5))
    go(code=2)
    pool = {"path": str(sets / "pool"), "format": "clip-retrieval", "duplicates": "keep_first"}
    written = go(pool=pool)
    assert not any(path.startswith("samples/") for path in written)


def test_a_first_try_that_failed_claims_nothing(sets: Path, go: Go) -> None:
    go(code=2, splits={"some": [{"where": "nothing > 1"}]})
    assert not (sets / "out").exists() or not (sets / "out" / "commits").exists()
    write_part(sets / "elsewhere", 0, unit(55, 90), rows_of("e", 0, 90))
    go(pool={"path": str(sets / "elsewhere"), "format": "clip-retrieval"})


def images_plan(world: Path, folder: Path, **changes: Any) -> Path:
    """The small world's photos as pool and benchmark, embedded by the small encoder."""
    tiny = whole_runs.ROOT / "data_manifests" / "encoders" / "tiny"
    plan: dict[str, Any] = {
        "name": "images",
        "pool": {"path": str(world / "reference")},
        "encoder": {"model": str(tiny), "pretrained": str(tiny / "open_clip_model.safetensors")},
        "benchmarks": {"photo": {"path": str(world / "benchmarks" / "photo")}},
        "splits": {"near": [{"far": {"to": "all", "fraction": 0.5}}]},
        "output": str(folder / "out"),
    }
    path = folder / "images.yaml"
    path.write_text(yaml.safe_dump(plan | changes, sort_keys=False))
    return path


def test_nothing_but_overwrite_removes_embeddings(
    small_world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*options: str, **changes: Any) -> tuple[int, str]:
        with pytest.raises(SystemExit) as stopped:
            main(["run", str(images_plan(small_world, tmp_path, **changes)), *options])
        return int(stopped.value.code or 0), capsys.readouterr().err

    assert run()[0] == 0
    embedded = sorted((tmp_path / "out" / "embeddings").rglob("*.npy"))
    assert embedded
    before = {path: path.stat().st_mtime_ns for path in embedded}
    copy = tmp_path / "copy"
    shutil.copytree(whole_runs.ROOT / "data_manifests" / "encoders" / "tiny", copy)
    other = {"model": str(copy), "pretrained": str(copy / "open_clip_model.safetensors")}
    code, said = run(encoder=other)
    assert code == 2
    assert "would replace" in said
    assert "--overwrite" in said
    assert {path: path.stat().st_mtime_ns for path in embedded} == before
    # Another set under the old path's name is no reason to write over either.
    moved = tmp_path / "moved"
    shutil.copytree(small_world / "reference", moved)
    assert run(pool={"path": str(moved)})[0] == 0
    assert {path: path.stat().st_mtime_ns for path in embedded} == before
    again = tmp_path / "again"
    shutil.copytree(moved, again)
    images = sorted(again.rglob("*.jpg"))
    shutil.copy(images[-1], images[0])
    for _ in range(2):  # asking twice is no consent
        code, said = run(pool={"path": str(again)})
        assert code == 2, said
        assert "put the former path back, or add --overwrite" in said
        assert {path: path.stat().st_mtime_ns for path in embedded} == before
    assert run(pool={"path": str(moved)})[0] == 0
    assert {path: path.stat().st_mtime_ns for path in embedded} == before
    code, said = run("--overwrite", encoder=other)
    assert code == 0, said
    assert "removing" in said
    assert "embeddings" in said
