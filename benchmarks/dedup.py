"""Near-duplicates and thinning within clusters, against SemDeDup's logic in torch float32, in one run, as JSON.

    python benchmarks/dedup.py --out dedup.json [--clusters 500] [--rows 1000] [--width 512] [--threads 1]

`nearfar` is `indexes.greedy.earlier.nearest_earlier`, from float16 rows to exact answers with the uid of the nearest.
`torch` is SemDeDup's logic for one cluster and one epsilon: the whole float32 product, its upper triangle, the maximum
of each column, and the comparison; the float32 rows are made beforehand and not counted. Each cluster goes through all
in turn, with the same threads: one, since clusters are what a run spreads over threads. `thinning` is
`indexes.greedy.farthest.farthest_first`. Every answer is compared with torch's. `share_of_others` says how much of the
processor other programs took; where it is high, processor seconds of this process say more than wall time.

The floor, `floor_seconds`, is half of all products at the rate of the fastest screen: the largest similarity of each
row to an earlier one is wanted whatever epsilon will be, so every pair is a candidate. Bounds from parts of the vectors
rule out none of these rows, whose noise lies in all directions alike. The screen multiplies twice as fast as float32
where AVX-512 works in halves or is missing, four times where it does not; so the products alone allow 4 or 8 times
torch's product, and what torch needs beside it (two passes over the square) comes on top.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from search import processor_time, share_of_others
from search_vectors import embeddings, machine, seconds

from indexes.greedy.earlier import nearest_earlier
from indexes.greedy.farthest import farthest_first
from indexes.queries import Queries
from indexes.scanner import ScanOptions
from indexes.search import open_scanner

EPSILON = 0.124
OPTIONS = ScanOptions(k=1, device="cpu")
RATE_PAIRS = 4096
"""Rows of either side of the large product that tells the screen's rate."""
FLOAT32_ERROR = 1e-4


def semdedup(rows: Any) -> Any:
    """Largest similarity of each of `(n, d)` float32 rows to an earlier one, as SemDeDup computes it."""
    import torch

    return torch.triu(rows @ rows.T, diagonal=1).max(dim=0)[0]


Times = dict[str, list[tuple[float, float]]]
"""Wall and processor seconds of each cluster."""


def spent(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds of one call."""
    before = time.process_time()
    wall = seconds(work)
    return wall, time.process_time() - before


def timed(cluster: NDArray[np.float16], number: int, times: Times, options: ScanOptions) -> None:
    """Take one cluster through all three, and stop if the answers differ by more than float32 may."""
    import torch

    uids = np.random.default_rng(number).integers(0, 2**63, (len(cluster), 2)).astype(np.uint64)
    order, wide = np.arange(len(cluster)), torch.from_numpy(cluster.astype(np.float32))
    found: list[Any] = []

    def theirs() -> None:
        found.append(semdedup(wide))
        found.append(found[0] > 1 - EPSILON)

    times["torch"].append(spent(theirs))
    times["nearfar"].append(spent(lambda: found.append(nearest_earlier(cluster, uids, order, options))))
    times["thinning"].append(spent(lambda: farthest_first(cluster, uids, options)))
    if np.abs(np.maximum(found[2].similarity, 0) - found[0].numpy()).max() > FLOAT32_ERROR:
        raise SystemExit("the answers differ; the speed says nothing")


def screen_rate(width: int, options: ScanOptions) -> float:
    """Products of a large scan in GFLOP/s of processor time, nothing read or written between."""
    vectors = embeddings(1, RATE_PAIRS, width)
    packed = Queries(vectors, ("all",), np.array([0, RATE_PAIRS], np.int64), None)
    scanner = open_scanner(packed, "exact", options)
    scanner.scan(vectors)
    busy = min(spent(lambda: scanner.scan(vectors))[1] for _ in range(3))
    return 2e-9 * RATE_PAIRS**2 * width / busy


def main() -> None:
    """Run all clusters and write the numbers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path)
    parser.add_argument("--clusters", type=int, default=500)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    import torch

    torch.set_num_threads(given.threads)
    options = replace(OPTIONS, threads=given.threads)
    times: Times = {"torch": [], "nearfar": [], "thinning": []}
    timed(
        embeddings(0, given.rows, given.width), 0, {name: [] for name in times}, options
    )  # compiles and warms up
    before = processor_time()
    for number in range(given.clusters):
        timed(embeddings(number + 1, given.rows, given.width), number, times, options)
    whole = {name: np.array(values).sum(axis=0) for name, values in times.items()}
    ratios = np.median(np.array(times["torch"]) / np.array(times["nearfar"]), axis=0)
    rate = screen_rate(given.width, options)
    found = {
        "machine": machine(),
        "clusters": given.clusters,
        "rows": given.clusters * given.rows,
        "width": given.width,
        "threads": given.threads,
        "screen_gflops": round(rate),
        "floor_seconds": round(given.clusters * given.rows**2 * given.width * 1e-9 / rate, 2),
        "share_of_others": round(share_of_others(before), 2),
        "seconds": {name: round(float(wall), 2) for name, (wall, _) in whole.items()},
        "processor_seconds": {name: round(float(busy), 2) for name, (_, busy) in whole.items()},
        "to_torch": {"wall": round(float(ratios[0]), 2), "processor": round(float(ratios[1]), 2)},
        "thinning_to_dedup": round(float(whole["thinning"][1] / whole["nearfar"][1]), 2),
    }
    text = json.dumps(found, indent=2)
    print(text)
    if given.out:
        given.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
