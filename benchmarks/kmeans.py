"""k-means against FAISS in one run: training and the assignment of a pool, as JSON.

    python benchmarks/kmeans.py --out kmeans.json [--rows 1000000] [--centroids 10000] [--width 512] [--rounds 10]
        [--a-cluster 64] [--threads 2] [--only isotropic-spherical,…]

Four cases: `isotropic` rows, whose noise lies in all directions alike (the worst case for a bound from some of the
columns), and rows with a `spectrum` like that of real embeddings (`search_vectors.spectral`), each on the `spherical`
and in `euclidean` terms. `faiss.Kmeans` trains from the same first centroids, with as many iterations and all of the
sample; its assignment is the search that it uses itself, `index.search(1)` in float32. Both engines take each round's
rows in turn, everything in memory, float32 copies made beforehand and not counted. Where `--rounds-run` is lower, the
other rounds are left out and the seconds are those of the pool, from the rounds that were run.

nearfar's answers are exact, and are checked here against float64. `loss` is what both trainings minimise, the mean of
1 − similarity or of the squared distance, by nearfar's exact assignment of the sample to either's centroids.

`floor_seconds` are all products of the assignment at the rate of the tile alone; `multiplied` is the share of them that
were made, the others being ruled out by some of the columns. Processor seconds count where other programs run beside.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from search import processor_time, share_of_others
from search_vectors import embeddings, machine, spectral, spent
from tile_rate import FORMS, tile_rate

from indexes.clustering.kmeans import Assigner, Training, begin, train
from indexes.clustering.nearest_centroids import NearestCentroids
from indexes.cpu.processor import COLUMNS, ROWS, WHOLE
from indexes.scanner import ScanOptions

Row = dict[str, Any]
ITERATIONS = 5
CHECKED = 500
COUNTED = 9 * 1000
"""Rows whose products are counted."""
OPTIONS = ScanOptions(k=1, device="cpu", memory_limit=4 << 30)
DATA: dict[str, Callable[[int, int, int], NDArray[np.float16]]] = {
    "isotropic": embeddings,
    "spectrum": spectral,
}
Seconds = tuple[float, float]
"""Wall and processor."""


def times(ours: Seconds, theirs: Seconds) -> Row:
    """Both engines' seconds and their ratios."""
    row: Row = {}
    for place, kind in enumerate(("wall", "processor")):
        row[kind] = {"nearfar": round(ours[place], 2), "faiss": round(theirs[place], 2)}
        row[kind]["to_faiss"] = round(theirs[place] / ours[place], 2)
    return row


def assignment(
    pool: NDArray[np.float16], training: Training, options: ScanOptions, rounds: int, run: int
) -> tuple[Row, Seconds, Seconds]:
    """Both engines in turns over parts of the pool."""
    import faiss

    width, centroids = pool.shape[1], len(training.centroids)
    index = faiss.IndexFlatIP(width) if training.spherical else faiss.IndexFlatL2(width)
    assigner = Assigner(training, options)
    index.add(assigner.centroids.astype(np.float32))
    check(pool[:CHECKED], assigner, training.spherical)
    ours, theirs, before, rows = np.zeros(2), np.zeros(2), processor_time(), 0
    for part in np.array_split(pool, rounds)[:run]:
        wide, rows = part.astype(np.float32), rows + len(part)
        ours += spent(lambda p=part: assigner.assign(p))
        theirs += spent(lambda w=wide: index.search(w, 1))
    ours, theirs = (found * len(pool) / rows for found in (ours, theirs))
    row: Row = {"rows_run": rows, "share_of_others": round(share_of_others(before), 2)}
    row |= times(tuple(ours), tuple(theirs))
    counted = NearestCentroids(assigner.centroids, assigner.levels, replace(options, threads=1))
    units = counted.find(pool[:COUNTED]).units
    most = -(-len(pool[:COUNTED]) // ROWS) * -(-centroids // COLUMNS) * -(-width // 4)
    row["multiplied"] = round(units / most, 2)
    row["floor_seconds"] = round(2e-9 * len(pool) * centroids * width / tile_rate(width), 2)
    return row, tuple(ours), tuple(theirs)


def check(sample: NDArray[np.float16], assigner: Assigner, spherical: bool) -> None:
    """Stop unless the engine's assignment is float64's."""
    found, centroids = assigner.assign(sample), assigner.centroids.astype(np.float64)
    scores = sample.astype(np.float64) @ centroids.T
    right = scores if spherical else scores - (centroids**2).sum(axis=1) / 2
    same = np.array_equal(found.cluster, right.argmax(axis=1))
    if not same or not np.array_equal(found.similarity, scores[np.arange(len(sample)), found.cluster]):
        raise SystemExit("the assignment is not float64's; its speed says nothing")


def loss(sample: NDArray[np.float16], training: Training, options: ScanOptions) -> float:
    """Mean of what training minimises, over the sample."""
    assigner = Assigner(training, options)
    found = assigner.assign(sample)
    if assigner.levels is None:
        return float(1 - found.similarity.mean())
    squares = np.einsum("ij,ij->i", sample, sample, dtype=np.float64)
    return float((squares - 2 * (found.similarity - assigner.levels[found.cluster])).mean())


def trained(
    sample: NDArray[np.float16], centroids: int, spherical: bool, options: ScanOptions
) -> tuple[Training, Row, Seconds, Seconds]:
    """Train here and by `faiss.Kmeans` from the same first centroids; FAISS's time has its own copy in float32."""
    import faiss

    start, found = begin(sample, centroids, spherical), []
    train(sample[:centroids], start, 1, options)  # compiles, where the machine code is not there yet
    ours = spent(lambda: found.append(train(sample, start, ITERATIONS, options)))
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
    other = spent(lambda: theirs.train(wide, init_centroids=start.centroids))
    row: Row = {"sample": len(sample), "iterations": ITERATIONS} | times(ours, other)
    peer = replace(found[0], centroids=theirs.centroids.reshape(centroids, -1))
    row["loss"] = {
        name: round(loss(sample, of, options), 5) for name, of in (("nearfar", found[0]), ("faiss", peer))
    }
    return found[0], row, ours, other


def main() -> None:
    """Run the cases and write the numbers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--centroids", type=int, default=10_000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--rounds-run", type=int)
    parser.add_argument(
        "--a-cluster", type=int, default=64, help="rows of the sample for each centroid, 2 or more"
    )
    parser.add_argument("--threads", type=int)
    parser.add_argument("--only", default=",".join(f"{data}-{kind}" for data in DATA for kind in KINDS))
    given = parser.parse_args()
    # FAISS's threads wait by spinning otherwise, and that would count as the other engine's processor time.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import faiss

    options = replace(OPTIONS, threads=given.threads)
    faiss.omp_set_num_threads(options.workers)
    found: Row = {"machine": machine(), "threads": options.workers, "form": FORMS[WHOLE]}
    found |= {name: getattr(given, name) for name in ("rows", "centroids", "width")}
    for case in given.only.split(","):
        data, kind = case.split("-")
        pool = DATA[data](1, max(given.rows, given.a_cluster * given.centroids), given.width)
        training, row, ours, theirs = trained(
            pool[: given.a_cluster * given.centroids], given.centroids, kind == "spherical", options
        )
        run = given.rounds_run or given.rounds
        assigned, mine, other = assignment(pool[: given.rows], training, options, given.rounds, run)
        both = times(*(tuple(np.add(*pair)) for pair in ((ours, mine), (theirs, other))))
        found[case] = {"training": row, "assign": assigned, "together": both}
        print(case, json.dumps(found[case]), flush=True)
    if given.out:
        given.out.write_text(json.dumps(found, indent=2) + "\n")


KINDS = ("spherical", "euclidean")


if __name__ == "__main__":
    main()
