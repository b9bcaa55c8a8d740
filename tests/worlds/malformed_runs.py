"""Malformed sets through whole runs: each ends well or in a refusal, and no row of the pool is unaccounted for."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from input_damage import Rng, damage
from malformed_images import odd_image, plain
from reader_sets import BUILDERS, Sample, samples

from indexes.errors import NearfarError
from pipeline.commands import run as run_plan
from pipeline.documents.yaml_safe import dump_yaml
from pipeline.readers import open_reader
from pipeline.run import RunOptions
from pipeline.sets.source import Source

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "data_manifests" / "encoders" / "tiny"
COUNTS = (4, 0, 3)
WITH_IMAGES = ("image-folder", "image-parquet", "img2dataset")
RUNS = (*(f"run {name}" for name in BUILDERS), *(f"images of {name}" for name in WITH_IMAGES))
"""Whole runs over damaged files of each format, and over sound files of odd images."""


def run_outcome(kind: str, seed: int, root: Path) -> str:
    """Write a pool, damage it, and prune it.

    Args:
        kind: One of `RUNS`.
        seed: What damages it.
        root: A folder; what is there from the input before is removed.

    Returns:
        `finished`, or `refused`.

    Raises:
        AssertionError: If a row of the pool is counted twice or not at all.
        Exception: What no user should see: any that is not of nearfar's tree.
    """
    what, _, name = kind.rpartition(" ")
    rng = np.random.default_rng([RUNS.index(kind), seed])
    shutil.rmtree(root, ignore_errors=True)
    shards = samples(COUNTS)
    pool = BUILDERS[name](root / "pool", shards).source
    keys = [sample.key for shard in shards for sample in shard]
    images = {key: odd_image(rng) if what == "images of" and rng.integers(3) else plain(rng) for key in keys}
    put_images(Path(pool.path), images)
    if what == "run":
        for _ in range(int(rng.choice([1, 1, 1, 2]))):
            damage(Path(pool.path), rng)
    try:
        _prune(pool, root, rng)
    except NearfarError as error:
        if len(str(error)) < 20:
            raise AssertionError(f"a refusal says why and what to do, not '{error}'") from error
        if what != "run" and not _is_all_lost(str(error)):
            raise AssertionError(f"sound files of odd images were refused: {error}") from error
        return "refused"
    _account(root / "out", len(keys) if what != "run" else _rows(pool))
    return "finished"


def _is_all_lost(message: str) -> bool:
    return "has no usable rows" in message or "has no usable vector" in message


def put_images(root: Path, images: dict[str, bytes]) -> None:
    """Give the samples of a set these images in place of what a builder wrote."""
    for file in root.rglob("*.png"):
        file.write_bytes(images[file.stem])
    for file in root.rglob("*.tar"):
        _put_into_tar(file, images)
    for file in root.rglob("*.parquet"):
        table = pq.read_table(file)
        if "jpg" in table.column_names:
            found = pa.array([images[key] for key in table["key"].to_pylist()], pa.binary())
            pq.write_table(table.set_column(table.column_names.index("jpg"), "jpg", found), file)


def _put_into_tar(path: Path, images: dict[str, bytes]) -> None:
    with tarfile.open(path) as tar:
        held = [(member, _read(tar, member)) for member in tar.getmembers()]
    with tarfile.open(path, "w") as tar:
        for member, content in held:
            key, _, suffix = member.name.partition(".")
            found = images[key] if suffix == "jpg" else content
            member.size = len(found)
            tar.addfile(member, io.BytesIO(found))


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = tar.extractfile(member)
    assert stream is not None
    return stream.read()


def benchmark(root: Path, vectors: bool, rng: Rng) -> Source:
    """Two queries: images, or vectors of the width of the builders' own."""
    queries: list[list[Sample]] = [
        [replace(one, key=f"{900 + place:09d}") for place, one in enumerate(samples((2,))[0])]
    ]
    if vectors:
        return BUILDERS["clip-retrieval"](root, queries).source
    source = BUILDERS["image-folder"](root, queries).source
    put_images(root, {sample.key: plain(rng) for sample in queries[0]})
    return source


def _prune(pool: Source, root: Path, rng: Rng) -> None:
    with_vectors = pool.format in ("clip-retrieval", "datacomp")
    plan: dict[str, Any] = {
        "name": "malformed",
        "pool": {"path": pool.path, "format": pool.format},
        "splits": {"long": [{"where": "length(caption) > 3"}]},
        "output": str(root / "out"),
    }
    if pool.format != "laion":
        queries = benchmark(root / "queries", with_vectors, rng)
        plan["benchmarks"] = {"held": {"path": queries.path, "format": queries.format}}
        plan["splits"]["pruned"] = [{"near": {"to": "all", "threshold": 0.9}}]
    if not with_vectors and pool.format != "laion":
        plan["encoder"] = {"model": str(TINY), "pretrained": str(TINY / "open_clip_model.safetensors")}
    (root / "plan.yaml").write_text(dump_yaml(plan))
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        run_plan(root / "plan.yaml", (), RunOptions(threads=1), as_json=False)


def _rows(pool: Source) -> int:
    """Rows that the damaged set still lists, lost ones included, as its reader counts them."""
    reader = open_reader(pool)
    found = [reader.rows(pool, shard) for shard in reader.shards(pool)]
    return sum(len(one.table) + len(one.lost) for one in found)


def _account(out: Path, rows: int) -> None:
    """Hold `split.json`, `audit.json` and the tables of each split against the rows of the pool."""
    listed = json.loads((out / "report" / "audit.json").read_text())["rows"]["pool"]
    assert listed["listed"] == rows, f"{listed['listed']} rows in the report, {rows} in the files"
    lost = sum(sum(listed[name].values()) for name in ("failed", "quarantined"))
    splits = sorted((out / "splits").iterdir())
    assert splits
    for split in splits:
        said = json.loads((split / "split.json").read_text())
        seen = _table_rows(split.glob("part-*.parquet")), _table_rows((split / "dropped").glob("*.parquet"))
        assert sum(seen) + lost + listed["repeated"] == rows, (
            f"{split.name}: {seen} and {lost} lost of {rows}"
        )
        assert (said["kept"], said["rows_in"]) == (seen[0], rows), f"{split.name}: {said}"


def _table_rows(files: Any) -> int:
    return sum(pq.read_metadata(file).num_rows for file in files)
