"""How fast a split becomes tars, against a plain copy of the same bytes, as JSON with the machine and the versions.

    python benchmarks/export.py --out export.json [--megabytes 1000] [--kilobytes 60] [--workers 2] [--folder DIR]

A pool of tars of 2,500 samples, each an image of about `--kilobytes` of random bytes, a json and a txt, of which a
split keeps everything. `export` is the command line, start-up included, from nothing; `copy` reads each of the tars
that it wrote and writes it again, flushed to the disk as the export's are. `again` is the same command with nothing
left to do: what starting, and looking whether all stands, takes. `hash` is the floor that a copy has not: each
tar's SHA-256, on one core. All take turns; ratios are of medians.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import yaml

ROOT = Path(__file__).parents[1]
EACH = 2500
ROUNDS = 3


def write_pool(folder: Path, megabytes: int, kilobytes: int) -> int:
    """Write the tars; returns the number of samples."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    shards = max(1, megabytes * 1000 // (kilobytes * EACH))
    for shard in range(shards):
        with tarfile.open(folder / f"{shard:05d}.tar", "w") as tar:
            for row in range(EACH):
                key = f"{shard:05d}{row:04d}"
                told = {"url": f"http://x.test/{key}", "caption": f"picture {row}", "key": key, "width": 256}
                image = rng.bytes(int(kilobytes * 1000 * rng.uniform(0.5, 1.5)))
                for kind, content in (
                    ("jpg", image),
                    ("json", json.dumps(told, indent=4).encode()),
                    ("txt", told["caption"].encode()),
                ):
                    member = tarfile.TarInfo(f"{key}.{kind}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
    return shards * EACH


def command(*arguments: str) -> float:
    """Run the command line; returns seconds, start-up included."""
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *arguments],
        check=True,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return time.perf_counter() - started


def copied(tars: list[Path], into: Path) -> float:
    """Copy the tars one after the other, each flushed to the disk; returns seconds."""
    into.mkdir()
    started = time.perf_counter()
    for path in tars:
        shutil.copyfile(path, into / path.name)
        descriptor = os.open(into / path.name, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
    seconds = time.perf_counter() - started
    shutil.rmtree(into)
    return seconds


def hashed(tars: list[Path]) -> float:
    """Hash the tars one after the other; returns seconds."""
    started = time.perf_counter()
    for path in tars:
        with path.open("rb") as file:
            hashlib.file_digest(file, "sha256")
    return time.perf_counter() - started


def measured(folder: Path, workers: int) -> dict[str, Any]:
    """Take turns; every export begins from the output of the run alone."""
    plan = {
        "name": "export",
        "pool": {"path": str(folder / "pool"), "format": "img2dataset"},
        "splits": {"everything": [{"where": "true"}]},
        "output": str(folder / "out"),
    }
    (folder / "plan.yaml").write_text(yaml.safe_dump(plan))
    command("run", str(folder / "plan.yaml"))
    out, seconds = folder / "out", defaultdict[str, list[float]](list)
    spread = ("--samples-per-shard", "2500", *(("--workers", str(workers)) if workers > 1 else ()))
    for _ in range(ROUNDS):
        for name in ("shards", "internal/located", "commits/locate", "commits/gather", "commits/export"):
            shutil.rmtree(out / name, ignore_errors=True)
        for name in ("export", "again"):
            seconds[name].append(command("export", str(out), "everything", *spread))
        tars = sorted((out / "shards/everything").glob("*.tar"))
        seconds["copy"].append(copied(tars, folder / "copy"))
        seconds["hash"].append(hashed(tars))
    median = {name: statistics.median(of) for name, of in seconds.items()}
    return {
        "bytes": sum(path.stat().st_size for path in tars),
        **{f"{name}_seconds": [round(each, 2) for each in of] for name, of in seconds.items()},
        "of_a_copy": round(median["copy"] / median["export"], 2),
        "of_a_copy_once_started": round(median["copy"] / (median["export"] - median["again"]), 2),
    }


def main() -> None:
    """Write the pool, run, and print the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--kilobytes", type=int, default=60)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path)
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="export-", dir=chosen.folder))
    try:
        samples = write_pool(folder / "pool", chosen.megabytes, chosen.kilobytes)
        found = {"samples": samples, "workers": chosen.workers} | measured(folder, chosen.workers)
    finally:
        shutil.rmtree(folder)
    machine = {
        "cpu": platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 1),
    }
    versions = {package: version(package) for package in ("nearfar", "numpy", "pyarrow")}
    text = json.dumps({**found, "machine": machine, "versions": versions}, indent=2)
    print(text)
    if chosen.out:
        chosen.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
