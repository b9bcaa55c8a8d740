"""Speed and memory of the exact search against FAISS, as JSON with the machine and the versions.

    python benchmarks/search.py --out search.json [--pool 200000] [--rounds 8] [--only in-memory,shapes,avx2]

Rows of the pool go past both engines in turns, a round each, so that whatever else the machine does meets both. The
ratio of a row is the median over the rounds, and over the quiet ones alone: those in which other processes took less
than a twentieth of the processor (on a busy machine FAISS's barriers suffer more than nearfar's queue of blocks).

FAISS gets the task that is easiest for it: `IndexFlatIP.search(k=1)`, one direction, everything in memory, and a
quarter of each round's rows, 2,000 at least (smaller batches slow it down). nearfar answers both directions,
thresholds and k = 10, exactly. `matmul` is a large oneDNN product timed in the same run: operations divided by its
rate is the floor of a screen in that format.

`disk` and `memory` (search_disk.py) go the way of a run: pipeline/ reads a part, scans it and writes its scores.
`avx2` is `in-memory` in a process whose compilers and libraries are told that the processor has AVX2 and no more.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from search_vectors import benchmark_queries, embeddings, machine, seconds

from indexes.search import ScanOptions, open_scanner

Row = dict[str, Any]
FAISS_ROWS = 2000
AVX2 = {
    "NUMBA_CPU_NAME": "haswell",
    "NUMBA_CPU_FEATURES": "+avx,+avx2,+fma,+f16c,+bmi,+bmi2,+popcnt,+lzcnt,+sse4.2,+ssse3",
    "FAISS_SIMD_LEVEL": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
}
SHAPES = [(512, 5_000), (512, 200_000), (640, 40_000), (768, 40_000), (1024, 40_000)]


def matmul_rates(width: int) -> dict[str, float]:
    """GFLOP/s of large products on this machine now, the best of a few, in the formats that its screens use."""
    import torch

    from indexes.cpu.processor import HAS_BFLOAT16

    rates = {}
    kinds = {"float32": torch.float32} | ({"bfloat16": torch.bfloat16} if HAS_BFLOAT16 else {})
    for name, kind in kinds.items():
        left, right = torch.ones((4096, width), dtype=kind), torch.ones((width, 2048), dtype=kind)
        out = torch.empty((4096, 2048), dtype=kind)
        best = min(seconds(lambda a=left, b=right, c=out: torch.mm(a, b, out=c)) for _ in range(20))
        rates[name] = 2 * 4096 * 2048 * width / best / 1e9
    return rates


def in_memory(pool: int, count: int, width: int, rounds: int, float32_too: bool = True) -> Row:
    """Both engines in turns over one pool in memory."""
    import faiss

    queries = benchmark_queries(count, width)
    samples = embeddings(1, pool, width)
    flat = faiss.IndexFlatIP(width)
    flat.add(queries.vectors.astype(np.float32))
    scanners = {"nearfar": open_scanner(queries, scan_options=ScanOptions(memory_limit=4 << 30))}
    if float32_too:
        options = ScanOptions(memory_limit=4 << 30, bfloat16=False)
        scanners["nearfar_float32"] = open_scanner(queries, scan_options=options)
    times: dict[str, list[float]] = {name: [] for name in (*scanners, "faiss")}
    shares = []
    for rows in np.array_split(samples, rounds):
        before = processor_time()
        for name, scanner in scanners.items():
            times[name].append(seconds(lambda s=scanner, r=rows: s.scan(r)) / len(rows))
        some = rows[: max(FAISS_ROWS, len(rows) // 4)].astype(np.float32)
        times["faiss"].append(seconds(lambda s=some: flat.search(s, 1)) / len(some))
        shares.append(share_of_others(before))
    quiet = np.array(shares) < 0.05
    row = {"pool": pool, "queries": count, "width": width, "rounds": rounds, "quiet_rounds": int(quiet.sum())}
    if quiet.any():
        ratios = np.array(times["faiss"])[quiet] / np.array(times["nearfar"])[quiet]
        row["nearfar_to_faiss_in_quiet"] = round(float(np.median(ratios)), 2)
        row["nearfar_gflops_in_quiet"] = round(
            2e-9 * count * width / float(np.median(np.array(times["nearfar"])[quiet]))
        )
        row["faiss_gflops_in_quiet"] = round(
            2e-9 * count * width / float(np.median(np.array(times["faiss"])[quiet]))
        )
    return summary(times, row)


def processor_time() -> tuple[float, float, float]:
    """Wall time, busy processor seconds of the whole machine, and this process's own."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    busy = (sum(fields[:8]) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")
    return time.perf_counter(), busy, time.process_time()


def share_of_others(before: tuple[float, float, float]) -> float:
    """Share of the machine's processor time that went to other processes since `before`."""
    wall, busy, own = (now - then for now, then in zip(processor_time(), before, strict=True))
    return (busy - own) / (wall * (os.cpu_count() or 1))


def summary(times: dict[str, list[float]], row: Row) -> Row:
    """Rates, ratios and the distance to the floor, which is a product in the format of the screen."""
    operations = 2.0 * row["queries"] * row["width"]
    rates = {name: operations / np.array(per_row) / 1e9 for name, per_row in times.items()}
    matmul = matmul_rates(row["width"])
    screened = "bfloat16" if "bfloat16" in matmul else "float32"
    found: Row = {"gflops": {name: round(float(np.median(rate))) for name, rate in rates.items()}}
    found["gflops_best_round"] = {name: round(float(rate.max())) for name, rate in rates.items()}
    for name in sorted(times.keys() - {"faiss"}):
        found[f"{name}_to_faiss"] = round(float(np.median(rates[name] / rates["faiss"])), 2)
        found[f"{name}_seconds"] = round(float(np.median(times[name])) * row["pool"], 2)
    found["faiss_seconds"] = round(float(np.median(times["faiss"])) * row["pool"], 2)
    found["matmul_gflops"] = {name: round(rate) for name, rate in matmul.items()}
    found["floor_seconds"] = round(operations * row["pool"] / matmul[screened] / 1e9, 2)
    found["share_of_matmul"] = round(float(rates["nearfar"].max()) / matmul[screened], 2)
    found["load_average"] = round(os.getloadavg()[0], 1)
    return row | found


def kmeans_assignment(rows: int, centroids: int, width: int) -> Row:
    """Assignment to centroids against the search that `faiss.Kmeans` itself does, in turns."""
    import faiss

    from indexes.clustering.kmeans import Assigner, Training

    vectors = embeddings(4, centroids, width)
    assigner = Assigner(
        Training(vectors.astype(np.float32), True, 0, 0), ScanOptions(k=1, memory_limit=4 << 30)
    )
    flat = faiss.IndexFlatIP(width)
    flat.add(vectors.astype(np.float32))
    ratios = []
    for part in np.array_split(embeddings(1, rows, width), 6):
        ours = seconds(lambda p=part: assigner.assign(p)) / len(part)
        some = part[: len(part) // 4].astype(np.float32)
        ratios.append(seconds(lambda s=some: flat.search(s, 1)) / len(some) / ours)
    return {
        "rows": rows,
        "centroids": centroids,
        "width": width,
        "to_faiss": round(float(np.median(ratios)), 2),
    }


def in_child(work: str, *arguments: object, **variables: str) -> Any:
    """Run a function of `CHILDREN` in a process of its own, with other environment variables."""
    command = [sys.executable, __file__, "--child", work, *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])} | variables
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return json.loads(done.stdout)


def avx2(pool: int, count: int, width: int, rounds: int) -> Row:
    """Both engines as on a processor without AVX-512, compiled into a cache of its own."""
    with tempfile.TemporaryDirectory() as cache:
        row: Row = in_child("avx2", pool, count, width, rounds, NUMBA_CACHE_DIR=cache, **AVX2)
    return {"environment": AVX2} | row


def avx2_child(pool: str, count: str, width: str, rounds: str) -> Row:
    """`in_memory` where the variables of `AVX2` are set, with what they came to."""
    import faiss

    from indexes.cpu.processor import HAS_BFLOAT16, LANES

    if HAS_BFLOAT16 or LANES != 8 or faiss.SIMDConfig.get_level_name() != "AVX2":
        raise SystemExit(f"not limited to AVX2: {LANES} lanes, FAISS {faiss.SIMDConfig.get_level_name()}")
    row = in_memory(int(pool), int(count), int(width), int(rounds), float32_too=False)
    return {"lanes": LANES, "faiss_level": faiss.SIMDConfig.get_level_name()} | row


def memory_of(pool: int, count: int, width: int) -> Row:
    """Peak resident memory of a process that does nothing but scan a pool on disk."""
    from search_disk import write_pool

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "img_emb_0.npy"
        write_pool(path, pool, width)
        peak = in_child("memory", path, count)
    return {"pool": pool, "queries": count, "width": width, "peak_resident_mb": peak}


def memory_child(path: str, count: str) -> int:
    """Scan a file and give this process's peak resident memory in MB."""
    import search_disk  # here, so that the rows in memory need nothing of pipeline/

    return search_disk.peak_of(path, int(count))


CHILDREN: dict[str, Callable[..., Any]] = {"avx2": avx2_child, "memory": memory_child}


def main() -> None:
    """Run the rows that were asked for and write them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path)
    parser.add_argument("--pool", type=int, default=200_000)
    parser.add_argument("--disk-pool", type=int, default=2_000_000)
    parser.add_argument("--queries", type=int, default=40_000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--only", default="in-memory,avx2,shapes,kmeans,disk,memory")
    parser.add_argument("--child", nargs="+")
    given = parser.parse_args()
    if given.child:
        print(json.dumps(CHILDREN[given.child[0]](*given.child[1:])))
        return
    only, found = set(given.only.split(",")), {"machine": machine()}
    if "in-memory" in only:
        found["in_memory"] = [in_memory(given.pool, given.queries, given.width, given.rounds)]
    if "avx2" in only:
        found["avx2"] = avx2(given.pool, given.queries, given.width, given.rounds)
    if "shapes" in only:
        found["shapes"] = [in_memory(given.pool, count, width, given.rounds) for width, count in SHAPES]
    if "kmeans" in only:
        found["kmeans"] = kmeans_assignment(max(12_000, given.pool // 5), 50_000, given.width)
    if "disk" in only:
        from search_disk import from_disk

        found["from_disk"] = from_disk(given.disk_pool, given.queries, given.width)
    if "memory" in only:
        found["memory"] = [
            memory_of(pool, 5_000, given.width) for pool in (50_000, 200_000, 800_000, 2_000_000)
        ]
    text = json.dumps(found, indent=2)
    print(text)
    if given.out:
        given.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
