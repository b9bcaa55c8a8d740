"""How fast a split becomes tars, against copies of the same bytes, as JSON with the machine and the versions.

    python benchmarks/export.py --out export.json [--bytes 1000000000] [--kilobytes 60] [--workers N] [--folder DIR]

A pool of tars of 2,500 samples, as img2dataset writes them: an image of about `--kilobytes` of random bytes, a json and
a txt, each with its time in a header of its own. A split keeps everything. `export` is the command line, start-up
included, from nothing; `again` is the same command with nothing left to do: what starting takes, and looking whether
all stands.

Two copies of the tars that it wrote stand beside it. `durable_copy` flushes each to the disk, as an export does before
it says that a tar is there: it is the honest comparison. `plain_copy` leaves them in the page cache, where a crash
loses them. `hash` is what no copy does: each tar's SHA-256, on one core; an export hashes as many tars side by side as
there are cores.

All take turns. Seconds are of the clock, and beside them of the processors, as others disturb the clock; ratios are of
medians. `seconds_of` says where an export's time goes, by its log: `start` is `again`; `index` finds the members of the
pool's tars; `move` reads, hashes, writes and commits, of which `hash` is the floor; `list` writes what stands beside.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import yaml

ROOT = Path(__file__).parents[1]
EACH = 2500
ROUNDS = 3
STAGES = {"index": ("locate",), "move": ("gather",), "list": ("export", "card")}
MADE = ("shards", "internal/located", *(f"commits/{stage}" for of in STAGES.values() for stage in of))


def write_pool(folder: Path, size: int, kilobytes: int) -> int:
    """Write the tars; returns the number of samples."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    shards = max(1, size // (kilobytes * 1000 * EACH))
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
                    member.size, member.mtime = len(content), 1_700_000_000 + row / 7
                    tar.addfile(member, io.BytesIO(content))
    return shards * EACH


def command(folder: Path, *arguments: str) -> None:
    """Run the command line, from modules that were compiled before, as those of an installed package are."""
    environment = os.environ | {"PYTHONPYCACHEPREFIX": str(folder / "compiled")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *arguments],
        check=True,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def copy(tars: list[Path], into: Path, durable: bool) -> None:
    """Copy the tars one after the other, and flush each to the disk where they are to last."""
    for path in tars:
        shutil.copyfile(path, into / path.name)
        if durable:
            descriptor = os.open(into / path.name, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)


def hash_all(tars: list[Path]) -> None:
    """Hash the tars one after the other."""
    for path in tars:
        with path.open("rb") as file:
            hashlib.file_digest(file, "sha256")


def timed(work: Callable[[], None]) -> tuple[float, float]:
    """Do something; returns seconds of the clock and of the processors, those of child processes among them."""

    def spent() -> float:
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(one.ru_utime + one.ru_stime for one in used)

    before, started = spent(), time.perf_counter()
    work()
    return time.perf_counter() - started, spent() - before


def measured(folder: Path, workers: int) -> dict[str, Any]:
    """Take turns; every export begins from the output of the run alone, and every copy in an empty folder."""
    plan = {
        "name": "export",
        "pool": {"path": str(folder / "pool"), "format": "img2dataset"},
        "splits": {"everything": [{"where": "true"}]},
        "output": str(folder / "out"),
    }
    (folder / "plan.yaml").write_text(yaml.safe_dump(plan))
    command(folder, "run", str(folder / "plan.yaml"))
    out, copies = folder / "out", folder / "copies"
    spread = ("--samples-per-shard", str(EACH), *(("--workers", str(workers)) if workers else ()))
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    stages: dict[str, list[float]] = defaultdict(list)
    for turn in range(ROUNDS + 1):
        for name in MADE:
            shutil.rmtree(out / name, ignore_errors=True)
        tars: list[Path] = []

        def export() -> None:
            command(folder, "export", str(out), "everything", *spread)

        works: dict[str, Callable[[], None]] = {
            "export": export,
            "again": export,
            "durable_copy": lambda tars=tars: copy(tars, copies, durable=True),
            "plain_copy": lambda tars=tars: copy(tars, copies, durable=False),
            "hash": lambda tars=tars: hash_all(tars),
        }
        for name, work in works.items():
            shutil.rmtree(copies, ignore_errors=True)
            copies.mkdir()
            os.sync()
            took = timed(work)
            if turn:  # the first compiles modules, and warms the cache
                found[name].append(took)
            if turn and name == "export":
                for what, seconds in staged(out / "log.jsonl").items():
                    stages[what].append(seconds)
            tars[:] = sorted((out / "shards/everything").glob("*.tar"))
    return {"bytes": sum(path.stat().st_size for path in tars), **told(found, stages)}


def staged(log: Path) -> dict[str, float]:
    """Read from a log how long the stages of the last export took."""
    ends = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    last = {event["stage"]: event["seconds"] for event in ends if event["event"] == "end"}
    return {what: sum(last[stage] for stage in of) for what, of in STAGES.items()}


def told(found: dict[str, list[tuple[float, float]]], stages: dict[str, list[float]]) -> dict[str, Any]:
    """Say what was found: all seconds, and ratios of medians."""
    median = {name: statistics.median(clock for clock, _ in of) for name, of in found.items()}
    once_started = median["export"] - median["again"]
    return {
        "seconds": {name: [round(clock, 2) for clock, _ in of] for name, of in found.items()},
        "processor_seconds": {name: [round(used, 2) for _, used in of] for name, of in found.items()},
        "seconds_of": {"start": round(median["again"], 2)}
        | {what: round(statistics.median(of), 2) for what, of in stages.items()},
        **{
            f"of_a_{name}{when}": round(median[name] / seconds, 2)
            for name in ("durable_copy", "plain_copy")
            for when, seconds in (("", median["export"]), ("_once_started", once_started))
        },
    }


def main() -> None:
    """Write the pool, run, and print the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--bytes", type=int, default=1_000_000_000)
    parser.add_argument("--kilobytes", type=int, default=60)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="export-", dir=chosen.folder))
    try:
        samples = write_pool(folder / "pool", chosen.bytes, chosen.kilobytes)
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
