"""Command line of the renderer: `python -m pipeline.world OUT [--seed 0] [--samples 2000]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from indexes.errors import NearfarError
from pipeline.world.render import render_world


def main(arguments: Sequence[str] | None = None) -> int:
    """Render a world; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.world", description="Render a small image-text world."
    )
    parser.add_argument("out", type=Path, help="folder to write; must not hold another world")
    parser.add_argument("--seed", type=int, default=0, help="which world (default 0, the quickstart's)")
    parser.add_argument("--samples", type=int, default=2000, help="images in the pool (default 2000)")
    chosen = parser.parse_args(arguments)
    try:
        render_world(chosen.out, chosen.seed, chosen.samples)
    except NearfarError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
