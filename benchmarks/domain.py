"""How long the domain head takes to train on 20,000 labels, and how right it is on as many others.

    python benchmarks/domain.py [--labels 20000] [--width 512] [--domains 3] [--json FILE]

Vectors lie in a narrow cone, as CLIP's do, and domains overlap, so that the optimum is not at the start.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np

from curation.kernels.heads.precision_levels import proven_level
from curation.kernels.heads.softmax_head import PENALTY, probabilities, train
from indexes.canonical import canonical

SEED = 0


def labelled(rows: int, width: int, domains: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw unit vectors around a centre for each domain, with noise that falls off over the dimensions."""
    rng = np.random.default_rng(SEED)
    middle = 4 * rng.standard_normal(width)
    centres = middle + 0.25 * rng.standard_normal((domains, width))
    owner = rng.integers(0, domains, rows)
    noise = rng.standard_normal((rows, width)) * np.linspace(3, 0.3, width)
    return canonical((centres[owner] + noise).astype(np.float32)).vectors, owner


def measured(labels: int, width: int, domains: int) -> dict[str, Any]:
    """Train on half of the rows, and judge the other half."""
    vectors, owner = labelled(2 * labels, width, domains)
    began = time.perf_counter()
    head = train(vectors[:labels], owner[:labels], domains, PENALTY)
    trained = time.perf_counter() - began
    began = time.perf_counter()
    found = probabilities(vectors[labels:], head)
    applied = time.perf_counter() - began
    said, sureness = found.argmax(axis=1), found.max(axis=1)
    proven = proven_level(sureness, said == owner[labels:], 0.95)
    return {
        "labels": labels,
        "width": width,
        "domains": domains,
        "train_seconds": round(trained, 2),
        "apply_rows_per_second": round(labels / applied),
        "accuracy": round(float((said == owner[labels:]).mean()), 4),
        "share_taken_at_0.95": round(proven.taken / labels, 4) if proven.level is not None else 0.0,
        "cores": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "numpy": np.__version__,
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def main() -> None:
    """Measure, print, and maybe write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=int, default=20_000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--domains", type=int, default=3)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = measured(given.labels, given.width, given.domains)
    text = json.dumps(found, indent=1)
    print(text)
    if given.json is not None:
        given.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
