"""k-means against FAISS in one run: assignment of a pool to trained centroids, and the training, as JSON.

    python benchmarks/kmeans.py --out kmeans.json [--rows 500000] [--centroids 1000] [--width 512] [--rounds 10]

`assign` is `indexes.clustering.kmeans.Assigner` over the whole pool, in turns with the search that `faiss.Kmeans`
itself assigns with (`index.search(1)` in float32, everything in memory): on the sphere by inner product, in Euclidean
terms by L2.
nearfar's answers are exact, and are checked here against float64 on a sample of the rows. The ratio is the median over
the rounds, and over the quiet ones alone, in which other processes took less than a twentieth of the processor.

`matmul_gflops` are large products in either format, timed in the same run. Their ratio is the most that a screen in
bfloat16 can gain over float32 on this processor, whatever surrounds it: 2.0 to 2.6 where AVX-512 works in two halves
(Zen 4), about 4 where it does not (Zen 5).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from search import matmul_rates, processor_time, share_of_others
from search_vectors import embeddings, machine, seconds

from indexes.clustering.kmeans import Assigner, Training, begin, train
from indexes.scanner import ScanOptions

Row = dict[str, Any]
A_CLUSTER = 64
ITERATIONS = 5
CHECKED = 2000
OPTIONS = ScanOptions(k=1, memory_limit=4 << 30)


def assignment(pool: NDArray[np.float16], training: Training, rounds: int) -> Row:
    """Both engines in turns over the pool, a round each."""
    import faiss

    width, centroids = pool.shape[1], len(training.centroids)
    index = faiss.IndexFlatIP(width) if training.spherical else faiss.IndexFlatL2(width)
    assigner = Assigner(training, OPTIONS)
    index.add(assigner.centroids.astype(np.float32))
    check(pool[:CHECKED], assigner, training.spherical)
    ours, theirs, shares = [], [], []
    for part in np.array_split(pool, rounds):
        wide, before = part.astype(np.float32), processor_time()
        ours.append(seconds(lambda p=part: assigner.assign(p)) / len(part))
        theirs.append(seconds(lambda w=wide: index.search(w, 1)) / len(part))
        shares.append(share_of_others(before))
    ratios, quiet = np.array(theirs) / np.array(ours), np.array(shares) < 0.05
    operations = 2e-9 * centroids * width
    row: Row = {"spherical": training.spherical, "rounds": rounds, "quiet_rounds": int(quiet.sum())}
    row["gflops"] = {
        "nearfar": round(operations / float(np.median(ours))),
        "faiss": round(operations / float(np.median(theirs))),
    }
    row["seconds_for_the_pool"] = round(float(np.median(ours)) * len(pool), 2)
    row["to_faiss"] = round(float(np.median(ratios)), 2)
    row["to_faiss_in_quiet"] = round(float(np.median(ratios[quiet])), 2) if quiet.any() else None
    return row


def check(sample: NDArray[np.float16], assigner: Assigner, spherical: bool) -> None:
    """Stop unless the engine's assignment is float64's."""
    found, centroids = assigner.assign(sample), assigner.centroids.astype(np.float64)
    scores = sample.astype(np.float64) @ centroids.T
    right = scores if spherical else scores - (centroids**2).sum(axis=1) / 2
    same = np.array_equal(found.cluster, right.argmax(axis=1))
    if not same or not np.array_equal(found.similarity, scores[np.arange(len(sample)), found.cluster]):
        raise SystemExit("the assignment is not float64's; its speed says nothing")


def trained(sample: NDArray[np.float16], centroids: int, spherical: bool) -> tuple[Training, Row]:
    """Train here and by `faiss.Kmeans` from the same first centroids; FAISS's time has its own copy in float32."""
    import faiss

    start, found = begin(sample, centroids, spherical), []
    train(sample[:centroids], start, 1, OPTIONS)  # compiles, where the machine code is not there yet
    ours = seconds(lambda: found.append(train(sample, start, ITERATIONS, OPTIONS)))
    theirs = faiss.Kmeans(
        sample.shape[1],
        centroids,
        niter=ITERATIONS,
        spherical=spherical,
        seed=1,
        min_points_per_centroid=1,
        max_points_per_centroid=len(sample),
    )
    wide = sample.astype(np.float32)
    other = seconds(lambda: theirs.train(wide, init_centroids=start.centroids))
    row = {"sample": len(sample), "iterations": ITERATIONS, "seconds": round(ours, 2)}
    return found[0], row | {"faiss_seconds": round(other, 2), "to_faiss": round(other / ours, 2)}


def main() -> None:
    """Run both kinds and write the numbers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--centroids", type=int, default=1000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=10)
    given = parser.parse_args()
    pool = embeddings(1, given.rows, given.width)
    found: Row = {
        "machine": machine(),
        "rows": given.rows,
        "centroids": given.centroids,
        "width": given.width,
    }
    for spherical in (True, False):
        sample = pool[: A_CLUSTER * given.centroids]
        training, row = trained(sample, given.centroids, spherical)
        kind = "spherical" if spherical else "euclidean"
        found[kind] = {"training": row, "assign": assignment(pool, training, given.rounds)}
    rates = matmul_rates(given.width)
    found["matmul_gflops"] = {name: round(rate) for name, rate in rates.items()}
    if "bfloat16" in rates:
        found["most_a_bfloat16_screen_can_gain"] = round(rates["bfloat16"] / rates["float32"], 2)
    text = json.dumps(found, indent=2)
    print(text)
    if given.out:
        given.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
