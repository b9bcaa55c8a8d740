"""Runs of the small world that several tests share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from forked_commands import forker

Run = Callable[..., tuple[int, str, str]]
"""What the `cli` fixture is: arguments to exit code, standard output, standard error."""
ROOT = Path(__file__).resolve().parents[2]
QUICKSTART = ROOT / "data_manifests" / "plans" / "quickstart.yaml"


def arguments(world: Path, *more: str) -> list[str]:
    """The quickstart's plan on another world; its output is `out` in the current folder, wherever that is."""
    tiny = ROOT / "data_manifests" / "encoders" / "tiny"
    sets = {"pool.path": world / "pool", "reference.path": world / "reference", "output": "out"}
    sets |= {f"benchmarks.{b}.path": world / "benchmarks" / b for b in ("photo", "sketch", "rendition")}
    sets |= {"encoder.model": tiny, "encoder.pretrained": tiny / "open_clip_model.safetensors"}
    overrides = [item for key, value in sets.items() for item in ("--set", f"{key}={json.dumps(str(value))}")]
    # Some units take one shard, some several.
    return ["run", str(QUICKSTART), *overrides, "--set", "engine.unit_rows=60", *more]


def start(command: list[str], cwd: Path = ROOT, **environment: str) -> subprocess.Popen[str]:
    """Start the command line in a process of its own, as a user would."""
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline.cli", *command],
        cwd=cwd,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(command: list[str], cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end, in a process that starts at once."""
    return forker().finish(command, cwd, environment)


def finish_cold(command: list[str], cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end, from the start of its interpreter."""
    process = start(command, cwd, **environment)
    stdout, stderr = process.communicate(timeout=300)
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


def committed(out: Path) -> dict[str, str]:
    """The sha256 that the commit records name for every output, by path."""
    digests: dict[str, str] = {}
    for record in sorted((out / "commits").glob("*/*.json")):
        for output in json.loads(record.read_text())["outputs"]:
            digests[output["path"]] = output["sha256"]
    return digests


@dataclass(frozen=True)
class FinishedRun:
    """The quickstart's plan, run on the small world as a user would run it."""

    out: Path
    seconds: float
