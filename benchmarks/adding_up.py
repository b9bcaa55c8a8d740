"""What is new costs its own work: runs on one output folder after another, as JSON with the machine and the versions.

    python benchmarks/adding_up.py --out adding_up.json [--rows 2000000] [--queries 2000] [--folder DIR]

A pool of `--rows` rows in shards of 100,000 is measured against a benchmark and cut into three splits. Then, by the
command line and with its start-up: the same run again, which has nothing to do; one more split; a second benchmark, and
beside it that benchmark alone on a folder that already has the pool's rows (`ratio` is of these two); and a plan of
captions alone over 50,000 rows of metadata, from nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from shards import timed, write_set

SPLITS = {
    "pruned": [{"near": {"to": ["b0"], "threshold": 0.5}}],
    "core": [{"far": {"to": ["b0"], "fraction": 0.25}}],
    "control": [{"random": {"fraction": 0.25, "seed": 0}}],
}
MORE = {"extra": [{"where": "width >= 200"}, {"far": {"to": ["b0"], "fraction": 0.5}}]}
CAPTIONS = {
    "basic": [{"basic": {}}],
    "scored": [{"clip-score": {"fraction": 0.3, "column": "similarity"}}],
}


def write_plan(folder: Path, benchmarks: list[str], splits: dict[str, Any], output: str) -> Path:
    """Write a plan over the sets of a folder."""
    plan = {
        "name": "adding",
        "pool": {"path": str(folder / "pool")},
        "benchmarks": {name: {"path": str(folder / name)} for name in benchmarks},
        "splits": splits,
        "output": str(folder / output),
    }
    path = folder / f"{output}.yaml"
    path.write_text(yaml.safe_dump(plan, sort_keys=False))
    return path


def captions(folder: Path, rows: int) -> Path:
    """Write metadata alone, and a plan of rules over captions and scores."""
    (folder / "captions").mkdir()
    rng = np.random.default_rng(0)
    columns = {
        "URL": [f"http://x.test/{n}" for n in range(rows)],
        "TEXT": ["word " * (n % 12) for n in range(rows)],
        "WIDTH": rng.integers(100, 600, rows, dtype=np.int32),
        "HEIGHT": rng.integers(100, 600, rows, dtype=np.int32),
        "similarity": rng.random(rows),
    }
    pq.write_table(pa.table(columns), folder / "captions" / "part-00000.parquet")
    plan = {
        "name": "captions",
        "pool": {"path": str(folder / "captions")},
        "splits": CAPTIONS,
        "output": str(folder / "captions-out"),
    }
    path = folder / "captions.yaml"
    path.write_text(yaml.safe_dump(plan, sort_keys=False))
    return path


def measure(folder: Path, rows: int, queries: int) -> dict[str, Any]:
    """Write the sets, and time the runs."""
    write_set(folder, "pool", max(1, rows // 100_000), min(rows, 100_000), 1)
    for seed, name in enumerate(("b0", "b1"), 2):
        write_set(folder, name, 1, queries, seed)
    found: dict[str, Any] = {"first_seconds": timed(write_plan(folder, ["b0"], SPLITS, "out"))}
    found["again_seconds"] = min(timed(folder / "out.yaml") for _ in range(3))
    found["one_more_split_seconds"] = timed(write_plan(folder, ["b0"], SPLITS | MORE, "out"))
    # Without splits: what a split says of a benchmark (its gap, the neighbours that it leaves) is work of the split.
    timed(write_plan(folder, ["b0"], {}, "both"))
    timed(write_plan(folder, [], {}, "alone"))
    found["benchmark_alone_seconds"] = timed(write_plan(folder, ["b1"], {}, "alone"))
    found["one_more_benchmark_seconds"] = timed(write_plan(folder, ["b0", "b1"], {}, "both"))
    found["ratio"] = round(found["one_more_benchmark_seconds"] / found["benchmark_alone_seconds"], 2)
    found["captions_50000_seconds"] = timed(captions(folder, 50_000))
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return found | {"peak_megabytes_of_any_run": round(peak / 1024)}


def main() -> None:
    """Run, and print the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--folder", type=Path)
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="adding-", dir=chosen.folder))
    try:
        found = measure(folder, chosen.rows, chosen.queries)
    finally:
        shutil.rmtree(folder)
    machine = {"cpu": platform.processor() or platform.machine(), "cores": len(os.sched_getaffinity(0))}
    versions = {package: version(package) for package in ("nearfar", "numpy", "pyarrow", "duckdb")}
    whole = {
        "rows": chosen.rows,
        "queries": chosen.queries,
        **found,
        "machine": machine,
        "versions": versions,
    }
    text = json.dumps(whole, indent=2)
    print(text)
    if chosen.out:
        chosen.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
