"""Time of cutting splits out of synthetic scores, as JSON with the machine and the versions.

    python benchmarks/split.py --out split.json [--rows 40000000] [--memory 4GB] [--threads 4] [--folder DIR]

Scores of three benchmarks for `--rows` samples are written as `measures/similarity` has them, a million rows a part,
uids at random. Then three splits are cut and committed, files, digests and all: near (per query), far (the nearest
quarter) and random (a quarter). `floor_seconds` is what the same rows cost without any of it: DuckDB reads every
column once (`scan`), and hands over each split's rows sorted by uid, which are thrown away (`sort`). The peak is of
the whole process: DuckDB's memory limit, and the rows on their way to the writers.
"""

# SQL is put together from names and numbers of this file.
# ruff: noqa: S608

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa

from pipeline.commit import Unit, attempt
from pipeline.files.database import connect, files
from pipeline.files.parquet import write_parquet
from pipeline.sets.uids import from_pairs
from pipeline.splits.cutting import SplitRequest, cut

PART_ROWS = 1_000_000
BENCHMARKS = ("photo", "sketch", "rendition")
# With similarities of mean 0.45 and deviation 0.12, three benchmarks together drop a twelfth of the pool.
THRESHOLD = 0.68


def write_scores(folder: Path, rows: int) -> tuple[str, ...]:
    """Write parts of random scores; similarities are multiples of 2^-30, margins their exact difference."""
    random = np.random.default_rng(0)
    paths = []
    for number, start in enumerate(range(0, rows, PART_ROWS)):
        size = min(PART_ROWS, rows - start)
        columns: dict[str, Any] = {"uid": from_pairs(random.integers(0, 2**64, (size, 2), dtype=np.uint64))}
        for name in BENCHMARKS:
            similarity = np.round(random.normal(0.45, 0.12, size).clip(-1, 1) * 2**30) / 2**30
            query = pa.array(random.integers(0, 50_000, size, dtype=np.int32))
            fields = [pa.array(similarity), query, pa.array(similarity - THRESHOLD), query]
            columns[name] = pa.StructArray.from_arrays(
                fields, ["similarity", "nearest", "margin", "margin_query"]
            )
        table = pa.table(columns)
        path = folder / f"part-{number:04d}.parquet"
        write_parquet(path, table, table.schema)
        paths.append(str(path))
    return tuple(paths)


def cut_one(name: str, rule: tuple[str, dict[str, Any]], common: dict[str, Any], out: Path) -> dict[str, Any]:
    """Cut and commit one split, and remove its files again."""
    started = time.perf_counter()
    with attempt(out, Unit("split", name, "benchmark")) as into:
        facts = cut(SplitRequest(name=name, rules=(rule,), **common), out, into)
        into.commit({"kept": facts["kept"]})
    seconds = time.perf_counter() - started
    written = sum(described["bytes"] for described in facts["files"].values())
    shutil.rmtree(out / "splits" / name)
    return {"seconds": round(seconds, 2), "kept": facts["kept"], "bytes_written": written}


def floor(out: Path, paths: tuple[str, ...], limits: dict[str, Any], shares: list[float]) -> dict[str, Any]:
    """Time a plain scan, and plain sorts of the shares of the rows that the splits keep."""
    columns = ", ".join(("uid", *BENCHMARKS))
    sums = ", ".join(f"sum({name}.similarity + {name}.margin + {name}.nearest)" for name in BENCHMARKS)
    source = "read_parquet($parts, hive_partitioning = false)"
    seconds = {}
    with connect(out, **limits) as db:
        started = time.perf_counter()
        db.execute(f"SELECT max(uid), {sums} FROM {source}", {"parts": files(paths)}).fetchall()
        seconds["scan"] = round(time.perf_counter() - started, 2)
        started = time.perf_counter()
        for share in shares:
            last = UUID(int=int(share * (2**128 - 1)))  # uids are uniform
            query = f"SELECT {columns} FROM {source} WHERE uid <= '{last}'::UUID ORDER BY uid"
            for _ in db.sql(query, params={"parts": files(paths)}).to_arrow_reader(131_072):
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
        paths = write_scores(out, chosen.rows)
        limits = {"memory_limit": chosen.memory, "threads": chosen.threads}
        common = limits | {"benchmarks": BENCHMARKS, "reference": True, "measures": paths}
        quarter = {"keep": chosen.rows // 4}
        cuts = {"near": ("near", {}), "far": ("far", quarter), "random": ("random", quarter)}
        result["splits"] = {name: cut_one(name, rule, common, out) for name, rule in cuts.items()}
        result["seconds"] = round(sum(split["seconds"] for split in result["splits"].values()), 2)
        result["peak_memory_gb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)
        shares = [split["kept"] / chosen.rows for split in result["splits"].values()]
        result["floor_seconds"] = floor(out, paths, limits, shares)
    text = json.dumps(result, indent=2)
    chosen.out.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
