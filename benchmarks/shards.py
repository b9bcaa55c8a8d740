"""Cost follows rows, not shards or files: a pool of very many small shards, as JSON with the machine and the versions.

    python benchmarks/shards.py --out shards.json [--shards 3000] [--rows 10] [--splits 30] [--folder DIR]

A pool of `--shards` shards of `--rows` rows in clip-retrieval's layout, three benchmarks of 200 queries, a reference of
2,000 rows and `--splits` splits are run by the command line, as a user would: a first run, the same run again (which
has nothing to do), and one with one more split. `files` counts what a run leaves behind.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

WIDTH = 64
ROOT = Path(__file__).parents[1]


def vectors(rng: np.random.Generator, rows: int) -> np.ndarray[Any, np.dtype[np.float16]]:
    """Draw unit vectors around a few centres."""
    drawn = np.random.default_rng(7).standard_normal((8, WIDTH))[rng.integers(0, 8, rows)]
    drawn = drawn + 0.7 * rng.standard_normal((rows, WIDTH))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float16)


def write_set(folder: Path, name: str, shards: int, rows: int, seed: int) -> None:
    """Write a set of so many shards of so many rows."""
    rng = np.random.default_rng(seed)
    for kind in ("img_emb", "metadata"):
        (folder / name / kind).mkdir(parents=True)
    for shard in range(shards):
        numbers = range(shard * rows, (shard + 1) * rows)
        columns = {
            "image_path": [f"{name}{n:09d}" for n in numbers],
            "caption": [f"{name} picture number {n}" for n in numbers],
            "url": [f"http://x.test/{name}/{n}" for n in numbers],
            "width": rng.integers(50, 1000, rows),
        }
        np.save(folder / name / f"img_emb/img_emb_{shard}.npy", vectors(rng, rows))
        pq.write_table(pa.table(columns), folder / name / f"metadata/metadata_{shard}.parquet")


def splits(count: int) -> dict[str, Any]:
    """Name so many splits of every kind of rule."""
    kinds = (
        lambda n: [{"near": {"to": "all", "threshold": 0.5 + n / 100}}],
        lambda n: [{"far": {"to": ["b0"], "fraction": 0.1 + n / 100}}],
        lambda n: [{"random": {"fraction": 0.5, "seed": n}}],
        lambda n: [{"where": f"width >= {100 + n}"}, {"near": {"to": ["b1", "b2"]}}],
    )
    return {f"split{n}": kinds[n % len(kinds)](n) for n in range(count)}


def write_plan(folder: Path, count: int) -> Path:
    """Write the plan with so many splits."""
    source = {name: {"path": str(folder / name)} for name in ("pool", "reference", "b0", "b1", "b2")}
    plan = {
        "name": "shards",
        "pool": source["pool"],
        "reference": source["reference"],
        "benchmarks": {name: source[name] for name in ("b0", "b1", "b2")},
        "splits": splits(count),
        "output": str(folder / "out"),
    }
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump(plan, sort_keys=False))
    return path


def timed(plan: Path) -> float:
    """Run a plan by the command line; returns seconds, start-up included."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "pipeline.cli", "run", str(plan)]
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return round(time.perf_counter() - started, 2)


def main() -> None:
    """Write the sets, run, and print the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--shards", type=int, default=3000)
    parser.add_argument("--rows", type=int, default=10)
    parser.add_argument("--splits", type=int, default=30)
    parser.add_argument("--folder", type=Path)
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="shards-", dir=chosen.folder))
    try:
        write_set(folder, "pool", chosen.shards, chosen.rows, 1)
        for seed, (name, rows) in enumerate((("reference", 2000), ("b0", 200), ("b1", 200), ("b2", 200)), 2):
            write_set(folder, name, 1, rows, seed)
        found: dict[str, Any] = {"first_seconds": timed(write_plan(folder, chosen.splits))}
        found["files"] = sum(path.is_file() for path in (folder / "out").rglob("*"))
        found["again_seconds"] = min(timed(folder / "plan.yaml") for _ in range(3))
        found["one_more_split_seconds"] = timed(write_plan(folder, chosen.splits + 1))
    finally:
        shutil.rmtree(folder)
    asked = {"shards": chosen.shards, "rows": chosen.rows, "splits": chosen.splits}
    machine = {"cpu": platform.processor() or platform.machine(), "cores": len(os.sched_getaffinity(0))}
    versions = {package: version(package) for package in ("nearfar", "numpy", "pyarrow", "duckdb")}
    text = json.dumps({**asked, **found, "machine": machine, "versions": versions}, indent=2)
    print(text)
    if chosen.out:
        chosen.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
