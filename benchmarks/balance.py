"""Time of deciding which samples stay by class: balances, caps and sweeps over thresholds, as JSON.

    python benchmarks/balance.py --out balance.json [--rows 4000000] [--memory 4GB] [--threads 2] [--folder DIR]

A pool of `--rows` samples with no columns of its own: `classes` (0 to 8 of 1,000 classes a sample, by Zipf's law, and
the single one) and `class_similarity`. It is loaded once (`load`). Then each rule decides and its samples are counted;
`seconds` is for both. `floor_seconds` is what DuckDB takes for the same rows without a rule: to count the classes of
every list (`count`), to hash every uid once (`hash`), and to look every uid up in a table of half of them (`look up`).
The peak is of the whole process.
"""

# SQL is put together from names and numbers of this file.
# ruff: noqa: S608

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curation.expressions import hashed
from pipeline.files.database import connect
from pipeline.files.parquet import write_parquet
from pipeline.sets.uids import as_hex, from_pairs
from pipeline.splits.candidates import PoolRows
from pipeline.splits.cutting import duckdb_limit, open_pool, read_rules
from pipeline.splits.pool_columns import look
from pipeline.splits.requests import CutRequest, PoolPart, SplitRequest

PART_ROWS = 1_000_000
CLASSES = 1_000
LEVELS = (0.7, 0.75, 0.8, 0.82, 0.85, 0.88, 0.9)
ENTRY_CAP = 2_000
"""Per 4 million rows: so that a balance keeps about as large a share at any size."""


def write_parts(folder: Path, rows: int) -> tuple[PoolPart, ...]:
    """Write the measures of random samples."""
    random = np.random.default_rng(0)
    weights = 1 / np.arange(1, CLASSES + 1)
    parts = []
    for number, start in enumerate(range(0, rows, PART_ROWS)):
        size = min(PART_ROWS, rows - start)
        uids = as_hex(from_pairs(random.integers(0, 2**64, (size, 2), dtype=np.uint64)))
        lengths = random.choice(9, size, p=[0.3, 0.3, 0.15, 0.1, 0.05, 0.04, 0.03, 0.02, 0.01])
        ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        drawn = random.choice(CLASSES, int(ends[-1]), p=weights / weights.sum()).astype(np.int32)
        found = pa.ListArray.from_arrays(pa.array(ends), pa.array(drawn))
        single = pa.array(drawn[np.minimum(ends[:-1], len(drawn) - 1)], mask=lengths != 1)
        similarity = pa.array(random.normal(0.7, 0.12, size).clip(-1, 1), mask=lengths != 1)
        tables = {
            "classes": pa.table({"uid": uids, "found": found, "single": single}),
            "class_similarity": pa.table({"uid": uids, "similarity": similarity, "highest": similarity}),
        }
        paths = {}
        for name, table in tables.items():
            paths[name] = str(folder / f"{name}-{number:04d}.parquet")
            write_parquet(Path(paths[name]), table, table.schema)
        parts.append(PoolPart(None, measures=paths))
    return tuple(parts)


def recipes(rows: int) -> dict[str, list[tuple[str, dict[str, Any]]]]:
    """List the rules that are timed."""
    cap = max(ENTRY_CAP * rows // 4_000_000, 1)
    level = "class_similarity.similarity"
    return {
        "class balance, one class a sample": [("class-balance", {"by": "classes.single", "per_class": cap})],
        "class balance, lists": [("class-balance", {"per_class": cap})],
        "class balance, MetaCLIP's cap": [("class-balance", {"cap": cap})],
        "class balance, the highest": [
            ("class-balance", {"by": "classes.single", "per_class": cap, "highest": level})
        ],
        "cap": [("cap", {"by": "classes.single", "most": cap})],
        "class subset": [("class-subset", {"text": level, "text_level": 0.7, "keep": rows // 20})],
        "trimmed tail": [("trim-tail", {"by": "classes.single", "rarest": 500, "keep": 1})],
    }


def timed(rows: PoolRows, work: Any) -> tuple[float, Any]:
    """Do something, and remove what it left."""
    started = time.perf_counter()
    found = work()
    seconds = time.perf_counter() - started
    rows.pool.clear()
    return round(seconds, 2), found


def kept(rows: PoolRows, rule: Any, scope: Any) -> int:
    """Decide, and count what stays."""
    left = rows.after(rule.selection(scope).decide(rows))
    return int(rows.db.execute(left.surviving("count(*)")).fetchall()[0][0])


def swept(rows: PoolRows) -> list[tuple[int, int]]:
    """Count samples and classes that reach each level, as `class_thresholds` of the report does."""
    levels = ", ".join(
        f"count(*) FILTER (s >= {level}), count(DISTINCT c) FILTER (s >= {level})" for level in LEVELS
    )
    query = rows.surviving('"class_similarity".similarity AS s, "classes".single AS c')
    found = rows.db.execute(f"SELECT {levels} FROM ({query})").fetchall()[0]
    return list(zip(found[::2], found[1::2], strict=True))


def floors(rows: PoolRows) -> dict[str, float]:
    """Time what no rule can do without."""
    db, found = rows.db, {}
    lists = rows.surviving('unnest("classes".found) AS c')
    found["count"], _ = timed(
        rows, lambda: db.execute(f"SELECT c, count(*) FROM ({lists}) GROUP BY c").fetchall()
    )
    hashes = rows.surviving(f"max({hashed(0)})")
    found["hash"], _ = timed(rows, lambda: db.execute(hashes).fetchall())
    half = rows.scratch()
    found["look up"], _ = timed(
        rows,
        lambda: [
            db.execute(f"CREATE TEMP TABLE {half} AS {rows.surviving('uid', 'uid::VARCHAR < $$8$$')}"),
            db.execute(rows.surviving("count(*)", f"uid IN (SELECT uid FROM {half})")).fetchall(),
        ],
    )
    return found


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--memory", default="4GB")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where the measures go (3 GB for 40 million rows)")
    parser.add_argument("--only", help="time one rule, whose name begins so")
    given = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        out = Path(name)
        parts = write_parts(out, given.rows)
        splits = tuple(SplitRequest(one, tuple(recipe)) for one, recipe in recipes(given.rows).items())
        request = CutRequest(parts, splits, memory_limit=given.memory, threads=given.threads)
        everything = look(parts)
        placed = {split.name: read_rules(request, split, everything.types()) for split in splits}
        with connect(out, duckdb_limit(given.memory), given.threads) as db:
            started = time.perf_counter()
            rows = PoolRows(open_pool(db, request, everything, list(placed.values()))[0])
            found: dict[str, Any] = {"load": round(time.perf_counter() - started, 2)}
            seconds: dict[str, float] = {}
            stays: dict[str, Any] = {}
            for split, [(rule, scope)] in placed.items():
                if given.only is None or split.startswith(given.only):
                    seconds[split], stays[split] = timed(rows, lambda r=rule, s=scope: kept(rows, r, s))
            seconds["threshold sweep"], stays["threshold sweep"] = timed(rows, lambda: swept(rows))
            found |= {"floor_seconds": floors(rows), "seconds": seconds, "kept": stays}
    found |= {
        "rows": given.rows,
        "memory": given.memory,
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "threads": given.threads,
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "load": load,
        "versions": {one: version(one) for one in ("duckdb", "numpy", "pyarrow")},
    }
    given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
