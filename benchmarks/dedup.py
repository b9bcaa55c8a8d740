"""Near-duplicates and thinning within clusters, against SemDeDup's logic in torch float32, in one run, as JSON.

    python benchmarks/dedup.py --out dedup.json [--clusters 500] [--rows 1000] [--width 512] [--threads 1]

`torch` is SemDeDup's logic for one cluster and one ε, 0.124: the whole float32 product, its upper triangle, the maximum
of each column, and the comparison; the float32 rows are made beforehand and not counted. `nearfar` is
`indexes.greedy.earlier.nearest_earlier` from float16 rows, with the uid of the nearest: told the same level
(`at_least_0.876`), told 0.8, which serves every ε up to 0.2, and told nothing (`every`), which serves any. `thinning`
is `indexes.greedy.farthest.farthest_first`. All take rounds of clusters in turn, with the same threads: one,
since clusters are what a run spreads over threads. Every answer is compared with torch's.

Two kinds of clusters: `isotropic`, whose noise lies in all directions alike; and `spectrum`, whose rows are about as
similar as those of a cluster of real embeddings (0.7 in the median), spread as these are (`search_vectors.spectral`),
and of which a tenth are near-duplicates. The second is the harder one: more pairs come near the level.

`floor_seconds` are half of all products at the rate of the tile alone, which `every` cannot go below; `multiplied` is
the share of them that was made. Processor seconds count where other programs run beside (`share_of_others`).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from search import processor_time, share_of_others
from search_vectors import embeddings, machine, spectral, spent
from tile_rate import FORMS, tile_rate

from indexes.cpu.processor import COLUMNS, ROWS, WHOLE
from indexes.greedy.earlier import nearest_earlier
from indexes.greedy.farthest import farthest_first
from indexes.lattice.choosing import lattice_of
from indexes.lattice.nearest_columns import best_of, laid_columns
from indexes.lattice.points import place
from indexes.scanner import ScanOptions

EPSILON = 0.124
LEVELS = {"at_least_0.876": 0.876, "at_least_0.8": 0.8, "every": -np.inf}
OPTIONS = ScanOptions(k=1, device="cpu")
FLOAT32_ERROR = 1e-4
ROUND = 25
"""Clusters that one of them takes before the next does: a run takes one after the other, too."""
TOGETHER = 0.4
"""Length of a cluster's mean before its rows are normalised beside their own spread."""


def close(seed: int, rows: int, width: int) -> NDArray[np.float16]:
    """Rows of one cluster, about as similar as those of a cluster of real embeddings; a tenth are near-duplicates."""
    random = np.random.default_rng(seed)
    out = spectral(seed, rows + 1, width).astype(np.float32)
    out = out[1:] + TOGETHER * out[0]
    again = random.choice(rows, (2, rows // 10), replace=False)
    noise = spectral(seed + 1_000_000, rows // 10, width).astype(np.float32)
    out[again[0]] = out[again[1]] + random.uniform(0.05, 0.6, (rows // 10, 1)).astype(np.float32) * noise
    return (out / np.linalg.norm(out, axis=1, keepdims=True)).astype(np.float16)


DATA: dict[str, Callable[[int, int, int], NDArray[np.float16]]] = {"isotropic": embeddings, "spectrum": close}


def semdedup(rows: Any) -> Any:
    """Largest similarity of each of `(n, d)` float32 rows to an earlier one, as SemDeDup computes it."""
    import torch

    return torch.triu(rows @ rows.T, diagonal=1).max(dim=0)[0]


Times = dict[str, list[tuple[float, float]]]
"""Wall and processor seconds of each round."""


def timed(clusters: list[NDArray[np.float16]], number: int, times: Times, options: ScanOptions) -> None:
    """Take a round of clusters through all, and stop if the answers differ by more than float32 may."""
    import torch

    random, order = np.random.default_rng(number), np.arange(len(clusters[0]))
    uids = [random.integers(0, 2**63, (len(one), 2)).astype(np.uint64) for one in clusters]
    wide = [torch.from_numpy(one.astype(np.float32)) for one in clusters]
    found: dict[str, list[Any]] = {}

    def theirs() -> None:
        found["torch"] = [semdedup(one) for one in wide]
        found["over"] = [one > 1 - EPSILON for one in found["torch"]]

    def ours(name: str, level: float) -> None:
        found[name] = [
            nearest_earlier(one, names, order, options, level).similarity
            for one, names in zip(clusters, uids, strict=True)
        ]

    times.setdefault("torch", []).append(spent(theirs))
    for name, level in LEVELS.items():
        times.setdefault(name, []).append(spent(lambda n=name, at=level: ours(n, at)))
        for told, known in zip(found[name], found["torch"], strict=True):
            differing = np.maximum(told, max(level, 0.0)) - np.maximum(known.numpy(), max(level, 0.0))
            if np.abs(differing).max() > FLOAT32_ERROR:
                raise SystemExit("the answers differ; the speed says nothing")
    pairs = list(zip(clusters, uids, strict=True))
    times.setdefault("thinning", []).append(
        spent(lambda: [farthest_first(one, names, options) for one, names in pairs])
    )


def multiplied(cluster: NDArray[np.float16]) -> dict[str, float]:
    """Count what the tiles multiply of half of all products, at each level."""
    bits, which, rows = cluster.view(np.uint16), np.arange(len(cluster)), len(cluster)
    lattice = lattice_of(bits, which)
    points = place(bits, which, lattice)
    columns = laid_columns(points, lattice, which)
    # The tiles that have something below the diagonal.
    tiles = sum(-(-rows // ROWS) - (first + 1) // ROWS for first in range(0, rows, COLUMNS))
    most = tiles * points.units.shape[1]
    shares = {}
    for name, level in LEVELS.items():
        units = best_of(columns, points.some, 0, np.full(rows, level)).units
        shares[name] = round(units / most, 2)
    return shares


def measured(data: str, clusters: int, rows: int, width: int, options: ScanOptions) -> dict[str, Any]:
    """Run all clusters of one kind."""
    make, times = DATA[data], {}
    timed([make(0, rows, width)], 0, {}, options)  # compiles and warms up
    before = processor_time()
    for start in range(0, clusters, ROUND):
        some = range(start + 1, min(start + ROUND, clusters) + 1)
        timed([make(number, rows, width) for number in some], start, times, options)
    whole = {name: np.array(values).sum(axis=0) for name, values in times.items()}
    ratios = {
        name: np.median(np.array(times["torch"]) / np.array(times[name]), axis=0)
        for name in (*LEVELS, "thinning")
    }
    return {
        "share_of_others": round(share_of_others(before), 2),
        "seconds": {name: round(float(wall), 2) for name, (wall, _) in whole.items()},
        "processor_seconds": {name: round(float(busy), 2) for name, (_, busy) in whole.items()},
        "torch_to": {name: round(float(ratio[0]), 2) for name, ratio in ratios.items()},
        "torch_to_by_processor": {name: round(float(ratio[1]), 2) for name, ratio in ratios.items()},
        "thinning_to_dedup": round(float(whole["thinning"][1] / whole["every"][1]), 2),
        "multiplied": multiplied(make(1, rows, width)),
        "floor_seconds": round(clusters * rows**2 * width * 1e-9 / tile_rate(width), 2),
    }


def main() -> None:
    """Run both kinds of clusters and write the numbers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path)
    parser.add_argument("--clusters", type=int, default=500)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--width", type=int, default=512, help="a multiple of 64")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default=",".join(DATA))
    given = parser.parse_args()
    import torch

    torch.set_num_threads(given.threads)
    options = replace(OPTIONS, threads=given.threads)
    found: dict[str, Any] = {"machine": machine(), "form": FORMS[WHOLE]}
    found |= {name: getattr(given, name) for name in ("clusters", "rows", "width", "threads")}
    for data in given.only.split(","):
        found[data] = measured(data, given.clusters, given.rows, given.width, options)
    text = json.dumps(found, indent=2)
    print(text)
    if given.out:
        given.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
