"""The main job on real embeddings and real images, held against a float64 brute force written here."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import whole_runs
import yaml

import indexes.backends
from indexes import registry
from indexes.search import is_exact
from pipeline.execution.progress import Progress
from pipeline.plan import load_plan
from pipeline.run import RunOptions, execute

pytestmark = pytest.mark.real_data

KEEP_FAR, KEEP_RANDOM, SEED = 300, 250, 7
SPLITS = {
    "near_pruned": [{"near": {"to": "all"}}],
    "far_core": [{"far": {"to": "all", "keep": KEEP_FAR}}],
    "rand_250": [{"random": {"keep": KEEP_RANDOM, "seed": SEED}}],
    "rand_like_near": [{"random": {"like": "near_pruned", "seed": SEED}}],
}


def load_folder(folder: Path) -> tuple[np.ndarray, list[dict[str, str]]]:
    """Read a clip-retrieval folder by numeric suffix; a reader of its own, on purpose."""
    files = sorted((folder / "img_emb").glob("*.npy"), key=lambda path: int(path.stem.rpartition("_")[2]))
    vectors, rows = [], []
    for path in files:
        vectors.append(np.load(path))
        number = path.stem.rpartition("_")[2]
        rows += pq.read_table(folder / "metadata" / f"metadata_{number}.parquet").to_pylist()
    return np.concatenate(vectors), rows


def write_folder(folder: Path, vectors: np.ndarray, rows: list[dict[str, str]]) -> None:
    for name in ("img_emb", "metadata"):
        (folder / name).mkdir(parents=True)
    np.save(folder / "img_emb" / "img_emb_0.npy", vectors)
    pq.write_table(pa.Table.from_pylist(rows), folder / "metadata" / "metadata_0.parquet")


def halves(rows: list[dict[str, str]]) -> np.ndarray:
    """True for the half that is the reference, by hash of the key."""
    return np.array([hashlib.sha256(row["image_path"].encode()).digest()[0] % 2 == 0 for row in rows])


def uid_of(row: dict[str, str]) -> str:
    return hashlib.md5(f"{row['url']}\n{row['caption']}".encode()).hexdigest()


def random_rank(uid: str) -> int:
    """DuckDB's md5_number_lower of '<dashed uid>:<seed>': the last eight bytes, little-endian."""
    return int.from_bytes(hashlib.md5(f"{uuid.UUID(uid)}:{SEED}".encode()).digest()[8:], "little")


@pytest.fixture(scope="module")
def world(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mobilenet")
    vectors, rows = load_folder(real_data / "imagenet-samples-mobilenet")
    reference = halves(rows)
    for name, mask in (("reference", reference), ("benchmark", ~reference)):
        write_folder(
            folder / name, vectors[mask], [row for row, inside in zip(rows, mask, strict=True) if inside]
        )
    return folder


def run_plan(folder: Path, name: str, pool: dict[str, str], **more: object) -> Path:
    plan = {
        "name": "real",
        "pool": pool,
        "reference": {"path": str(folder / "reference"), "format": "clip-retrieval"},
        "benchmarks": {"imagenet": {"path": str(folder / "benchmark"), "format": "clip-retrieval"}},
        "splits": SPLITS,
        "output": str(folder / name),
        **more,
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(plan, sort_keys=False))
    loaded = load_plan(path)
    with Progress(folder / name) as progress:
        execute(loaded, RunOptions(), progress)
    return folder / name


def kept(out: Path, split: str) -> list[str]:
    files = sorted((out / "splits" / split).glob("part-*.parquet"))
    return [uid for file in files for uid in pq.read_table(file).column("uid").to_pylist()]


@pytest.fixture(scope="module")
def mobilenet_run(real_data: Path, world: Path) -> Path:
    return run_plan(
        world, "as_parts", {"path": str(real_data / "flickr8k-mobilenet"), "format": "clip-retrieval"}
    )


@pytest.fixture(scope="module")
def expected(real_data: Path, world: Path) -> dict[str, list[str]]:
    pool, rows = load_folder(real_data / "flickr8k-mobilenet")
    queries = np.load(world / "benchmark" / "img_emb" / "img_emb_0.npy").astype(np.float64)
    reference = np.load(world / "reference" / "img_emb" / "img_emb_0.npy").astype(np.float64)
    similarity = pool.astype(np.float64) @ queries.T
    thresholds = (reference @ queries.T).max(axis=0)
    near = (similarity - thresholds).max(axis=1) > 0
    uids = [uid_of(row) for row in rows]
    by_similarity = sorted(range(len(uids)), key=lambda i: (-similarity[i].max(), uids[i]))
    by_hash = sorted(uids, key=lambda uid: (random_rank(uid), uid))
    left = sorted(uid for uid, dropped in zip(uids, near, strict=True) if not dropped)
    return {
        "near_pruned": left,
        "far_core": sorted(uids[i] for i in by_similarity[:KEEP_FAR]),
        "rand_250": sorted(by_hash[:KEEP_RANDOM]),
        "rand_like_near": sorted(by_hash[: len(left)]),
    }


@pytest.mark.parametrize("split", list(SPLITS))
def test_splits_equal_a_float64_brute_force(
    mobilenet_run: Path, expected: dict[str, list[str]], split: str
) -> None:
    assert 100 < len(expected[split]) < 900
    assert kept(mobilenet_run, split) == expected[split]


def test_the_published_count_of_the_shared_data(real_data: Path, tmp_path: Path) -> None:
    """Every second row as the reference drops 575 of the 1,000 rows (the data's README)."""
    vectors, rows = load_folder(real_data / "imagenet-samples-mobilenet")
    write_folder(tmp_path / "reference", vectors[0::2], rows[0::2])
    write_folder(tmp_path / "benchmark", vectors[1::2], rows[1::2])
    pool = {"path": str(real_data / "flickr8k-mobilenet"), "format": "clip-retrieval"}
    out = run_plan(tmp_path, "out", pool)
    assert len(kept(out, "near_pruned")) == 425


def test_the_same_vectors_in_other_formats_give_the_same_splits(
    real_data: Path, world: Path, mobilenet_run: Path, expected: dict[str, list[str]]
) -> None:
    vectors, rows = load_folder(real_data / "flickr8k-mobilenet")
    write_folder(world / "one_npy", vectors, rows)
    datacomp = world / "datacomp"
    datacomp.mkdir()
    stem = hashlib.md5(b"shard").hexdigest()
    table = {
        "uid": [uid_of(row) for row in rows],
        "url": [row["url"] for row in rows],
        "text": [row["caption"] for row in rows],
    }
    pq.write_table(pa.table(table), datacomp / f"{stem}.parquet")
    np.savez_compressed(datacomp / f"{stem}.npz", b32_img=vectors.astype(np.float32), b32_txt=vectors)
    pairs = {
        "one_npy": {"path": str(world / "one_npy"), "format": "clip-retrieval"},
        "as_datacomp": {"path": str(datacomp), "format": "datacomp"},
    }
    for name, pool in pairs.items():
        out = run_plan(world, f"out_{name}", pool)
        for split in SPLITS:
            assert kept(out, split) == expected[split], (name, split)
            same = [(folder / "splits" / split / "uids.npy").read_bytes() for folder in (out, mobilenet_run)]
            assert same[0] == same[1]


OTHERS = [name for name in registry.names(indexes.backends) if is_exact(name) and name != "exact"]


@pytest.mark.parametrize("backend", OTHERS)
def test_every_exact_backend_gives_the_same_files(
    real_data: Path, world: Path, mobilenet_run: Path, backend: str
) -> None:
    pool = {"path": str(real_data / "flickr8k-mobilenet"), "format": "clip-retrieval"}
    out = run_plan(world, f"backend_{backend}", pool, engine={"backend": backend})
    expected, found = whole_runs.committed(mobilenet_run), whole_runs.committed(out)
    for folder in ("measures/", "neighbours/", "indexes/", "splits/"):
        files = {path: sha for path, sha in expected.items() if path.startswith(folder)}
        assert files
        assert {path: sha for path, sha in found.items() if path.startswith(folder)} == files


@pytest.mark.slow
def test_images_become_splits_through_the_small_encoder(real_data: Path, tmp_path: Path) -> None:
    rows = sorted((real_data / "imagenet-samples").glob("*/*"))
    for image in rows:
        half = "reference" if hashlib.sha256(image.name.encode()).digest()[0] % 2 == 0 else "benchmark"
        folder = tmp_path / half / image.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / image.name).write_bytes(image.read_bytes())
    tiny = Path(__file__).resolve().parents[3] / "data_manifests" / "encoders" / "tiny"
    weights = next(tiny.glob("*.safetensors"))
    out = run_plan(
        tmp_path,
        "out",
        {"path": str(real_data / "flickr8k"), "format": "img2dataset"},
        reference={"path": str(tmp_path / "reference"), "format": "image-folder"},
        benchmarks={"imagenet": {"path": str(tmp_path / "benchmark"), "format": "image-folder"}},
        encoder={"model": str(tiny), "pretrained": str(weights)},
    )
    folders = {
        name: out / "embeddings" / name / "clip" / "img_emb" for name in ("pool", "reference", "imagenet")
    }
    stored = {
        name: np.concatenate([np.load(file) for file in sorted(folder.glob("*.npy"))]).astype(np.float64)
        for name, folder in folders.items()
    }
    assert len(stored["pool"]) == 1000
    np.testing.assert_allclose(np.linalg.norm(stored["pool"], axis=1), 1, atol=2e-3)
    thresholds = (stored["reference"] @ stored["imagenet"].T).max(axis=0)
    near = ((stored["pool"] @ stored["imagenet"].T) - thresholds).max(axis=1) > 0
    files = sorted((out / "embeddings" / "pool" / "clip" / "metadata").glob("*.parquet"))
    uids = [uid for file in files for uid in pq.read_table(file).column("uid").to_pylist()]
    left = sorted(uid for uid, dropped in zip(uids, near, strict=True) if not dropped)
    assert kept(out, "near_pruned") == left
    facts = yaml.safe_load((out / "splits" / "near_pruned" / "split.json").read_text())
    assert (
        facts["waterfall"]["failed"] == {"failed_to_download: HTTP Error 404: File not found": 6}
        or sum(facts["waterfall"]["failed"].values()) == 6
    )
