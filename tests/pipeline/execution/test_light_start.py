"""A command loads what it uses: its own process meets neither pandas nor what plugs into pydantic."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from whole_runs import ROOT

HEAVY = ("torch", "numba", "open_clip", "faiss", "timm", "dask", "distributed", "pandas")
REPORTS = ("jinja2", "PIL", "pipeline.report.making", "pipeline.fetching.crew")
SCRIPT = """
import json, sys
from pipeline.cli import main
sys.argv[0] = "nearfar"
try:
    main()
except SystemExit as end:
    code = end.code
heavy = [name for name in json.loads({heavy!r}) if sys.modules.get(name) is not None]
print("loaded", json.dumps([code, heavy]))
"""


def loaded(folder: Path, *arguments: str) -> tuple[int, list[str]]:
    """Run a command in a process of its own; its exit code, and which of the heavy modules it loaded."""
    script = SCRIPT.format(heavy=json.dumps([*HEAVY, *REPORTS]))
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "leaked" not in done.stderr  # as bindings say where objects outlive their library
    code, heavy = json.loads(done.stdout.rpartition("loaded ")[2])
    return code, heavy


@pytest.mark.parametrize("command", ["export", "status", "help"])
def test_what_is_heavy_is_loaded_by_those_who_use_it(
    command: str, quickstart_output: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    if command != "help":
        shutil.copytree(quickstart_output, out)
    given = {
        "export": ("export", str(out), "combined_pruned"),
        "status": ("status", str(out)),
        "help": ("--help",),
    }
    code, heavy = loaded(tmp_path, *given[command])
    assert code == 0
    # How far a run has come is told of all that it plans, the report among it.
    assert set(heavy) <= (set(REPORTS) if command == "status" else set())


def test_circles_are_looked_for_seldom_while_modules_are_loaded_and_often_when_work_begins() -> None:
    script = (
        "import gc\n"
        "from pipeline.execution.light_start import begin_work, start_light\n"
        "for step in (lambda: None, begin_work, start_light, begin_work, begin_work):\n"
        "    step()\n"
        "    print(gc.get_threshold()[0])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    own, untouched, loading, working, still = map(int, done.stdout.split())
    assert untouched == own < working == still < loading
