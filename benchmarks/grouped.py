"""Memory and time of a run whose measures look at whole groups, as the pool grows, as JSON.

    python benchmarks/grouped.py --out grouped.json [--rows 150000] [--times 4] [--width 512] [--folder DIR]

One plan, run by the command over a pool of `rows` and over one `times` as large: clusters of about 1,000 rows with
their second assignment, near-duplicates within clusters and across borders, thinning, density, and NormSim to a set of
1,000. `own_megabytes` is the peak of what the process holds itself; `resident_megabytes` counts the pages of mapped
files too, which the system takes back when it needs them. `one_group` puts the larger pool into a single group, whose
vectors then lie in a scratch file: half of all pairs are compared, so it takes a pool of `rows` only.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from search_vectors import embeddings, machine

PART = 50_000
TARGET = 1000
COMMAND = (sys.executable, "-c", "from pipeline.cli import main; main()", "run")


def write_set(folder: Path, rows: int, width: int, seed: int) -> None:
    """Write a set as clip-retrieval lays it out, in parts of `PART` rows."""
    for name in ("img_emb", "metadata"):
        (folder / name).mkdir(parents=True)
    for number, start in enumerate(range(0, rows, PART)):
        count = min(PART, rows - start)
        np.save(folder / "img_emb" / f"img_emb_{number}.npy", embeddings(seed + number, count, width))
        columns = {"image_path": [f"{seed}-{n:09d}" for n in range(start, start + count)]}
        columns |= {
            "caption": ["a picture"] * count,
            "url": [f"http://x.test/{seed}/{n}" for n in range(start, start + count)],
        }
        pq.write_table(pa.table(columns), folder / "metadata" / f"metadata_{number}.parquet")


def write_plan(folder: Path, name: str, rows: int, clusters: int) -> Path:
    """Write the plan over a pool; with one cluster it has neither second assignment nor density."""
    many = clusters > 1
    measures: dict[str, Any] = {"clusters": {"k": clusters, "sample": 20_000, "iterations": 5}}
    measures |= {"duplicates": {}, "thinning": {}} if many else {"duplicates": {"within": "pool"}}
    if many:
        measures["clusters"]["assignments"] = 2
        measures |= {"density": {}, "norm_sim": {"to": "target"}}
        measures["border"] = {"measure": "duplicates", "within": "clusters.border"}
    plan = {
        "name": name,
        "pool": {"path": str(folder / f"pool-{rows}"), "format": "clip-retrieval"},
        "sources": {"target": {"path": str(folder / "target"), "format": "clip-retrieval"}} if many else {},
        "measures": measures,
        "splits": {"once": [{"dedup": {"epsilon": 0.3}}]},
        "output": str(folder / name),
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(plan, sort_keys=False))
    return path


def watched(plan: Path) -> dict[str, Any]:
    """Run a plan; seconds, and the peaks of its process."""
    start, own, resident = time.perf_counter(), 0, 0
    with subprocess.Popen([*COMMAND, str(plan)], stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            try:
                text = Path(f"/proc/{process.pid}/status").read_text()
            except OSError:
                continue
            held = {
                key: int(value.split()[0])
                for key, _, value in map(parted, text.splitlines())
                if "kB" in value
            }
            own = max(own, held.get("RssAnon", 0) + held.get("RssShmem", 0))
            resident = max(resident, held.get("VmHWM", 0))
            time.sleep(0.02)
        if process.returncode:
            raise SystemExit(f"the run of {plan} failed")
    taken = round(time.perf_counter() - start, 1)
    return {"seconds": taken, "own_megabytes": own >> 10, "resident_megabytes": resident >> 10}


def parted(line: str) -> tuple[str, str, str]:
    """Part a line of a process's status."""
    return line.partition(":")


def main() -> None:
    """Run, and print the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=150_000)
    parser.add_argument("--times", type=int, default=4)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="grouped-", dir=asked.folder))
    found: dict[str, Any] = {"rows": asked.rows, "times": asked.times, "width": asked.width}
    try:
        write_set(folder / "target", TARGET, asked.width, 900)
        for name, rows in (("few", asked.rows), ("many", asked.times * asked.rows)):
            write_set(folder / f"pool-{rows}", rows, asked.width, 1)
            found[name] = watched(write_plan(folder, name, rows, max(2, rows // 1000)))
        found["one_group"] = watched(write_plan(folder, "one_group", asked.rows, 1))
    finally:
        shutil.rmtree(folder)
    found["own_many_to_few"] = round(found["many"]["own_megabytes"] / found["few"]["own_megabytes"], 2)
    asked.out.write_text(json.dumps(found | {"machine": machine()}, indent=2) + "\n")
    print(asked.out.read_text())


if __name__ == "__main__":
    main()
