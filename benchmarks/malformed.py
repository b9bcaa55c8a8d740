"""Malformed inputs, read in this process: how many were read, refused, or did something that they should not.

    python benchmarks/malformed.py [--inputs 10000] [--first 0]

Small valid sets of every format, and plans, are damaged by seed: flipped bits, truncation, swapped, renamed and missing
files, columns and arrays of other types, odd YAML. Each must be read, or be refused by an error of nearfar's own tree;
none may take longer than its deadline, or count a row twice or not at all. Exit code 1 if one does otherwise. An input
is known by its kind and seed: `--first SEED --inputs 6` repeats it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "worlds")]

from malformed_sets import KINDS, faults  # noqa: E402 - found by the line above


def main() -> int:
    """Print the counts as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=10_000, help="how many, over all kinds")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    given = parser.parse_args()
    began = time.monotonic()
    seeds = range(given.first, given.first + -(-given.inputs // len(KINDS)))
    with tempfile.TemporaryDirectory() as folder:
        counts, wrong = faults(seeds, Path(folder))
    found = {
        "inputs": sum(counts.values()),
        "seconds": round(time.monotonic() - began, 1),
        "outcomes": counts,
    }
    print(json.dumps(found | {"wrong": wrong}, indent=1, sort_keys=True))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
