"""NormSim-inf of a pool against the engine's search alone, in one run, as JSON.

    python benchmarks/norm_sim.py --out norm_sim.json [--rows 200000] [--queries 10000] [--width 512] [--rounds 8]

The norm is the largest *absolute* product with a target's images, so it needs the search for the largest product, and
one with the images' opposites wherever these could be larger. `engine` is that first search by itself; `measure` is
`curation.measures.norm_sim` over the same rows, in turns with it. Rows come in two kinds: `shared` have a direction in
common: a mean product of 0.4, below that of CLIP ViT-B/32 on Flickr8k (0.52) and a MobileNet on ImageNet (0.43);
`apart` have none, so that every row has to be searched a second time. The first norms are checked against float64.

`two_norm` is NormSim-2 over the same rows, through one square matrix: it does not grow with the queries.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from search import processor_time, share_of_others
from search_vectors import machine, seconds

from curation import measures
from curation.measure import Block
from indexes.canonical import canonical
from indexes.queries import Queries
from indexes.scanner import ScanOptions
from indexes.search import open_scanner

CHECKED = 500
SHARED = 0.4
OPTIONS = ScanOptions(k=1, memory_limit=2 << 30)


def drawn(seed: int, rows: int, width: int, shared: float) -> NDArray[np.float16]:
    """Draw `(rows, width)` unit rows whose mean product is `shared`."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((rows, width), dtype=np.float32) / np.float32(np.sqrt(width))
    noise *= np.float32(np.sqrt(1 - shared))
    noise[:, 0] += np.float32(np.sqrt(shared))
    return canonical(noise).vectors


def running(targets: NDArray[np.float16], norm: object) -> Any:
    """Open the measure over a target."""
    measure = measures.parse("norm_sim", {"to": "t", "norm": norm})
    model = measure.summary(targets, {}, OPTIONS) if measure.summarises() else {}
    lists = pa.FixedSizeListArray.from_arrays(pa.array(targets.reshape(-1)), targets.shape[1])
    return measure.start(model, {"queries:t": pa.table({"vector": lists})}, OPTIONS)


def compared(rows: int, queries: int, width: int, rounds: int, shared: float) -> dict[str, Any]:
    """Time the search, the measure and the two-norm in turns over the rows."""
    targets, pool = drawn(1, queries, width, shared), drawn(2, rows, width, shared)
    packed = Queries(targets, ("t",), np.array([0, queries], np.int64), None)
    engine, largest, squared = (
        open_scanner(packed, "exact", OPTIONS),
        running(targets, "inf"),
        running(targets, 2),
    )
    check(largest, pool[:CHECKED], targets)
    times: dict[str, list[float]] = {"engine": [], "measure": [], "two_norm": []}
    shares = []
    for part in np.array_split(pool, rounds):
        block, before = Block(np.zeros((len(part), 2), np.uint64), {"image": part}), processor_time()
        times["engine"].append(seconds(lambda p=part: engine.scan(p)))
        times["measure"].append(seconds(lambda b=block: largest.apply(b)))
        times["two_norm"].append(seconds(lambda b=block: squared.apply(b)))
        shares.append(share_of_others(before))
    quiet = np.array(shares) < 0.05
    ratio = np.array(times["engine"]) / np.array(times["measure"])
    row: dict[str, Any] = {name: round(sum(found), 3) for name, found in times.items()}
    row |= {
        "rounds": rounds,
        "quiet_rounds": int(quiet.sum()),
        "of_engine": round(float(np.median(ratio)), 2),
    }
    return row | ({"of_engine_quiet": round(float(np.median(ratio[quiet])), 2)} if quiet.any() else {})


def check(largest: Any, samples: NDArray[np.float16], targets: NDArray[np.float16]) -> None:
    """Compare with float64."""
    found = largest.apply(Block(np.zeros((len(samples), 2), np.uint64), {"image": samples}))["norm_sim"]
    products = samples.astype(np.float64) @ targets.astype(np.float64).T
    np.testing.assert_array_equal(found, np.abs(products).max(axis=1))


def main() -> None:
    """Run and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=8)
    asked = parser.parse_args()
    sizes = (asked.rows, asked.queries, asked.width, asked.rounds)
    found = {name: compared(*sizes, shared) for name, shared in (("shared", SHARED), ("apart", 0.0))}
    facts = {"rows": asked.rows, "queries": asked.queries, "width": asked.width}
    asked.out.write_text(json.dumps({"machine": machine()} | facts | found, indent=2) + "\n")
    print(asked.out.read_text())


if __name__ == "__main__":
    main()
