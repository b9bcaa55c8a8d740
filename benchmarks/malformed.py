"""Malformed inputs: how many were read, refused, or did something that they should not.

    python benchmarks/malformed.py [--inputs 10000] [--first 0] [--runs 0.05] [--processes 2]

Small valid sets of every format, images, and plans, are damaged by seed: flipped bits, truncation, swapped, renamed and
missing files, columns and arrays of other types, images of every odd kind, odd YAML. Most are read in the process at
hand; a share (`--runs`) goes through whole runs, images decoded and embedded. Each must end well, or be refused by an
error of nearfar's own tree; none may take longer than its deadline, or leave a row of a pool uncounted or counted
twice. Exit code 1 if one does otherwise. An input is known by its kind and seed: `--first SEED --inputs 1 --kinds KIND`
repeats it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "worlds")]

from malformed_pool import EVERY_KIND, shares, survey  # noqa: E402 - found by the line above


def main() -> int:
    """Print the counts as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=10_000, help="how many, over all kinds")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--runs", type=float, default=0.05, help="share that goes through whole runs")
    parser.add_argument("--processes", type=int, default=2, help="processes that share the inputs")
    parser.add_argument("--kinds", nargs="*", default=EVERY_KIND, help="kinds of inputs")
    given = parser.parse_args()
    began = time.monotonic()
    todo = shares(given.inputs, given.first, given.runs, given.kinds)
    counts, wrong = survey(todo, given.processes)
    found = {
        "inputs": sum(counts.values()),
        "seconds": round(time.monotonic() - began, 1),
        "outcomes": counts,
    }
    print(json.dumps(found | {"wrong": wrong}, indent=1, sort_keys=True))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
