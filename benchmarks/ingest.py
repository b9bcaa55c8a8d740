"""How fast a list of URLs becomes a pool, against img2dataset on the same list, server and machine.

    python benchmarks/ingest.py --out ingest.json [--img2dataset PYTHON] [--images 2000] [--rounds 3] [--side 512]

A server of its own process answers from memory on eight addresses of loopback, as eight hosts. Both fetch its JPEGs as
they are, decode each, take its sha256 and write webdataset tars with Parquet beside them, with as many processes as
there are cores and 64 connections each; the whole command is timed, start-up included. The two take turns, and the
ratio is of medians. `--img2dataset` names an interpreter that has img2dataset; without one that row says so. What both
wrote is compared: every image, byte for byte.
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
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from ingest_server import HOSTS, serving
from PIL import Image

ROOT = Path(__file__).parents[1]
CORES = len(os.sched_getaffinity(0))
CONNECTIONS = 64
_THEIRS = "import json, sys; from img2dataset import download; download(**json.loads(sys.argv[1]))"


def jpeg(number: int, side: int) -> bytes:
    """Draw an image that compresses as photographs do, and differs by its number."""
    coarse = np.random.default_rng(number).integers(0, 256, (side // 16, side // 12, 3), np.uint8)
    stream = io.BytesIO()
    drawn = Image.fromarray(coarse).resize((side * 4 // 3, side), Image.Resampling.BICUBIC)
    drawn.save(stream, "JPEG", quality=90)
    return stream.getvalue()


def images_in(folder: Path) -> dict[str, int]:
    """Count the images of a pool's tars by their sha256."""
    found: dict[str, int] = {}
    for path in sorted(folder.rglob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                content = tar.extractfile(member)
                if member.name.endswith(".jpg") and content is not None:
                    digest = hashlib.sha256(content.read()).hexdigest()
                    found[digest] = found.get(digest, 0) + 1
    return found


def ours(urls: Path, into: Path, rows: int) -> list[str]:
    """Write nearfar's command."""
    options = ["--loopback", "--shard-rows", str(rows), "--connections", str(CONNECTIONS)]
    return [
        *(sys.executable, "-m", "pipeline.cli", "ingest", str(urls), str(into)),
        *(*options, "--workers", str(CORES)),
    ]


def theirs(python: str, urls: Path, into: Path, rows: int) -> list[str]:
    """Write img2dataset's command."""
    told = {
        "url_list": str(urls),
        "output_folder": str(into),
        "input_format": "parquet",
        "url_col": "url",
        "caption_col": "caption",
        "output_format": "webdataset",
        "resize_mode": "no",
        "skip_reencode": True,
        "compute_hash": "sha256",
        "extract_exif": False,
        "number_sample_per_shard": rows,
        "processes_count": CORES,
        "thread_count": CONNECTIONS,
        "enable_wandb": False,
    }
    return [python, "-c", _THEIRS, json.dumps(told)]


def seconds_of(command: list[str], into: Path, expected: dict[str, int]) -> float:
    """Run a command from nothing, and see that every image came."""
    shutil.rmtree(into, ignore_errors=True)
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    more = {"PYTHONPATH": path if command[0] == sys.executable else "", "NO_ALBUMENTATIONS_UPDATE": "1"}
    began = time.perf_counter()
    done = subprocess.run(command, env=os.environ | more, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    assert done.returncode == 0, done.stderr[-2000:]
    assert images_in(into) == expected, f"{into.name} has other images than the server"
    return seconds


def measured(folder: Path, python: str | None, images: int, rounds: int, side: int) -> dict[str, Any]:
    """Fetch in turns; returns seconds, rates and the ratio."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    bodies = [jpeg(number, side) for number in range(images)]
    expected = {hashlib.sha256(body).hexdigest(): 1 for body in bodies}
    rows = max(1, images // (2 * CORES))
    with serving(bodies) as port:
        urls = [f"http://{HOSTS[n % len(HOSTS)]}:{port}/{n}.jpg" for n in range(images)]
        listed = pa.table({"url": urls, "caption": [f"image {n}" for n in range(images)]})
        pq.write_table(listed, folder / "urls.parquet")
        work: dict[str, Callable[[], float]] = {
            "nearfar": lambda: seconds_of(
                ours(folder / "urls.parquet", folder / "nearfar", rows), folder / "nearfar", expected
            )
        }
        if python is not None:
            work["img2dataset"] = lambda: seconds_of(
                theirs(python, folder / "urls.parquet", folder / "img2dataset", rows),
                folder / "img2dataset",
                expected,
            )
        taken: dict[str, list[float]] = {name: [] for name in work}
        for _ in range(rounds):
            for name, fetch in work.items():
                taken[name].append(fetch())
    rates = {name: images / statistics.median(all_of) for name, all_of in taken.items()}
    found: dict[str, Any] = {
        "seconds": {name: [round(one, 2) for one in all_of] for name, all_of in taken.items()},
        "images_per_second": {name: round(rate, 1) for name, rate in rates.items()},
    }
    if "img2dataset" in rates:
        return found | {"ratio": round(rates["nearfar"] / rates["img2dataset"], 2)}
    return found | {"cannot_be_run": "no interpreter with img2dataset is named (--img2dataset PYTHON)"}


def version_of(python: str | None) -> str | None:
    """Ask the other interpreter which img2dataset it has."""
    if python is None:
        return None
    code = "from importlib.metadata import version; print(version('img2dataset'))"
    return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def main() -> None:
    """Measure, and write what came of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path)
    parser.add_argument("--img2dataset", metavar="PYTHON")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", type=int, default=512, help="Shorter side of an image in pixels.")
    given = parser.parse_args()
    versions = {"nearfar": version("nearfar"), "img2dataset": version_of(given.img2dataset)}
    with tempfile.TemporaryDirectory() as folder:
        found = measured(Path(folder), given.img2dataset, given.images, given.rounds, given.side)
    machine = {"cores": CORES, "machine": platform.machine(), "load": round(os.getloadavg()[0], 1)}
    asked = {"images": given.images, "side": given.side}
    text = json.dumps({**found, **asked, "machine": machine, "versions": versions}, indent=1)
    print(text)
    if given.out is not None:
        given.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
