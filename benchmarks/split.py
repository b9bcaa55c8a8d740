"""Time of cutting splits out of synthetic scores, as JSON with the machine and the versions.

    python benchmarks/split.py --out split.json [--rows 40000000] [--memory 4GB] [--threads 4] [--folder DIR]

Scores of three benchmarks for `--rows` samples are written as `measures/similarity/<benchmark>` has them, a million
rows a part, uids at random. Then three splits are cut and committed, files and all: near (per query), far (the
nearest quarter) and random (a quarter). `seconds` is for the three cut together, from one look at the scores; each
split's own time begins with the one before it, the first one's with the loading. `floor_seconds` is what the same rows
cost without any of it: DuckDB reads every column once (`scan`), and hands over each split's rows sorted by uid, which
are thrown away (`sort`). The peak is of the whole process: DuckDB's memory limit, and the rows on their way to the
writers. `uids` is a digest of what each split keeps.
"""

# SQL is put together from names and numbers of this file.
# ruff: noqa: S608

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import resource
import shutil
import tempfile
import time
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.commit import Unit, attempt
from pipeline.files.database import connect, files
from pipeline.files.parquet import write_parquet
from pipeline.sets.uids import as_hex, from_pairs
from pipeline.splits.cutting import cut_many
from pipeline.splits.requests import CutRequest, PoolPart, SplitRequest

PART_ROWS = 1_000_000
BENCHMARKS = ("photo", "sketch", "rendition")
# With similarities of mean 0.45 and deviation 0.12, three benchmarks together drop a twelfth of the pool.
THRESHOLD = 0.68


def write_scores(folder: Path, rows: int) -> tuple[PoolPart, ...]:
    """Write parts of random scores; similarities are multiples of 2^-30, margins their exact difference."""
    random = np.random.default_rng(0)
    parts = []
    for number, start in enumerate(range(0, rows, PART_ROWS)):
        size = min(PART_ROWS, rows - start)
        uids = as_hex(from_pairs(random.integers(0, 2**64, (size, 2), dtype=np.uint64)))
        paths = {}
        for name in BENCHMARKS:
            similarity = np.round(random.normal(0.45, 0.12, size).clip(-1, 1) * 2**30) / 2**30
            query = pa.array(random.integers(0, 50_000, size, dtype=np.int32))
            scores = {"similarity": similarity, "nearest": query, "margin": similarity - THRESHOLD}
            table = pa.table({"uid": uids, **scores, "margin_query": query})
            path = folder / name / f"part-{number:04d}.parquet"
            path.parent.mkdir(exist_ok=True)
            write_parquet(path, table, table.schema)
            paths[name] = str(path)
        parts.append(PoolPart(None, measures=paths))
    return tuple(parts)


def cut_all(request: CutRequest, out: Path) -> dict[str, Any]:
    """Cut and commit the splits, and remove their files again."""
    found: dict[str, Any] = {}
    with ExitStack() as stack:
        attempts = {
            split.name: stack.enter_context(attempt(out, Unit("split", split.name, "benchmark")))
            for split in request.splits
        }
        started = time.perf_counter()
        for name, facts in cut_many(request, out, attempts):
            attempts[name].commit({"kept": facts["kept"]})
            seconds, started = time.perf_counter() - started, time.perf_counter()
            written = sum(described["bytes"] for described in facts["files"].values())
            uids = hashlib.sha256((out / "splits" / name / "uids.npy").read_bytes()).hexdigest()
            shutil.rmtree(out / "splits" / name)
            found[name] = {
                "seconds": round(seconds, 2),
                "kept": facts["kept"],
                "bytes_written": written,
                "uids": uids,
            }
    return found


def floor(
    out: Path, parts: tuple[PoolPart, ...], limits: dict[str, Any], shares: list[float]
) -> dict[str, Any]:
    """Time a plain scan, and plain sorts of the shares of the rows that the splits keep."""
    seconds = {}
    with connect(out, **limits) as db:
        started = time.perf_counter()
        for name in BENCHMARKS:
            source = "read_parquet($parts, hive_partitioning = false)"
            paths = {"parts": files(part.measures[name] for part in parts)}
            db.execute(f"SELECT max(uid), sum(similarity + margin + nearest) FROM {source}", paths).fetchall()
        seconds["scan"] = round(time.perf_counter() - started, 2)
        started = time.perf_counter()
        for share in shares:
            last = f"{int(share * (2**128 - 1)):032x}"  # uids are uniform
            query = f"SELECT uid, margin FROM {source} WHERE uid <= '{last}' ORDER BY uid"
            for _ in db.sql(query, params=paths).to_arrow_reader(131_072):
                pass
        seconds["sort"] = round(time.perf_counter() - started, 2)
    return seconds


def machine(threads: int) -> dict[str, Any]:
    """Name the processor, the memory and the load when the measurement began."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if os.name == "posix" else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "memory_gb": round(memory / 2**30, 1),
        "system": platform.platform(),
        "load": os.getloadavg()[0],
    }


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=40_000_000)
    parser.add_argument("--memory", default="4GB")
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument(
        "--folder", type=Path, help="where the scores and splits go (10 GB for 40 million rows)"
    )
    chosen = parser.parse_args()
    result: dict[str, Any] = {"rows": chosen.rows, "memory_limit": chosen.memory}
    result["machine"] = machine(chosen.threads)
    result["versions"] = {name: version(name) for name in ("duckdb", "pyarrow", "numpy")}
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        out = Path(folder)
        parts = write_scores(out, chosen.rows)
        limits = {"memory_limit": chosen.memory, "threads": chosen.threads}
        quarter = {"keep": chosen.rows // 4}
        rules = {"near": ("near", {}), "far": ("far", quarter), "random": ("random", quarter)}
        splits = tuple(SplitRequest(name, (rule,)) for name, rule in rules.items())
        result["splits"] = cut_all(CutRequest(parts, splits, BENCHMARKS, reference=True, **limits), out)
        result["seconds"] = round(sum(split["seconds"] for split in result["splits"].values()), 2)
        result["peak_memory_gb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)
        shares = [split["kept"] / chosen.rows for split in result["splits"].values()]
        result["floor_seconds"] = floor(out, parts, limits, shares)
    text = json.dumps(result, indent=2)
    chosen.out.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
