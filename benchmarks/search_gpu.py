"""Speed of the exact search on a GPU, in one run with what it is compared to; says so and stops where there is none.

    python benchmarks/search_gpu.py --out search_gpu.json [--rows 262144]
                                       [--queries 50000,200000] [--widths 512,640,768]

`cublas` is a large float16 product with float32 output: the matrix rate of the card. `tile` is the fused kernel alone,
`nearfar` the whole backend with host arrays in and decisions out, `matmul_topk` torch's product and topk over blocks.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from search_vectors import benchmark_queries, embeddings, machine

from indexes.backends.torch import TorchScanner
from indexes.device.group_maxima import fused_maxima
from indexes.device.query_columns import columns_of
from indexes.scanner import ScanOptions

BLOCK = 16_384


def seconds(work: Callable[[], object], device: str, repeats: int = 3) -> float:
    """Shortest wall time of a few calls, each waited for."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        work()
        if device != "cpu":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times[1:])


def matmul_topk(samples: torch.Tensor, vectors: torch.Tensor) -> None:
    """What people write by hand: one direction, k = 1."""
    for start in range(0, len(samples), BLOCK):
        torch.topk(samples[start : start + BLOCK] @ vectors.T, 1, dim=1)


def faiss_gpu_seconds(
    samples: np.ndarray[Any, Any], vectors: np.ndarray[Any, Any], device: str
) -> float | None:
    """`GpuIndexFlatIP.search(k=1)` where this FAISS has it."""
    import faiss

    if not hasattr(faiss, "StandardGpuResources"):
        return None
    index = faiss.GpuIndexFlatIP(faiss.StandardGpuResources(), vectors.shape[1])
    index.add(vectors.astype(np.float32))
    wide = samples.astype(np.float32)
    return seconds(lambda: index.search(wide, 1), device, 1)


def measure(rows: int, count: int, width: int, device: str) -> dict[str, Any]:
    """One row of the table, in TFLOP/s."""
    queries, samples = benchmark_queries(count, width), embeddings(1, rows, width)
    block = torch.from_numpy(samples[:BLOCK]).to(device)
    columns, scanner = (
        columns_of(queries, device),
        TorchScanner(queries, ScanOptions(device=device, memory_limit=8 << 30)),
    )
    scanner.scan(samples[: rows // 4])
    side = 1024 if device == "cpu" else 8192
    large = torch.randn((side, side), device=device).half()
    cut = torch.full((len(columns.vectors),), 2.0, device=device)
    resident = torch.from_numpy(samples).to(device)
    vectors = columns.vectors if device != "cpu" else columns.vectors.float()
    operations = {"cublas": 2 * side**3, "tile": 2 * len(block) * count * width}
    times = {
        "cublas": seconds(lambda: torch.mm(large, large), device),
        "tile": seconds(lambda: fused_maxima(block, columns, cut), device),
        "nearfar": seconds(lambda: scanner.scan(samples), device, 1),
        "matmul_topk": seconds(lambda: matmul_topk(resident.to(vectors.dtype), vectors), device),
        "faiss_gpu": faiss_gpu_seconds(samples, queries.vectors, device),
    }
    rates = {
        name: operations.get(name, 2 * rows * count * width) / spent / 1e12
        for name, spent in times.items()
        if spent
    }
    row = {
        "rows": rows,
        "queries": count,
        "width": width,
        "tflops": {n: round(r, 3) for n, r in rates.items()},
    }
    shares = {f"{name}_to_cublas": round(rates[name] / rates["cublas"], 3) for name in ("tile", "nearfar")}
    against = {
        f"nearfar_to_{n}": round(rates["nearfar"] / rates[n], 2)
        for n in ("matmul_topk", "faiss_gpu")
        if n in rates
    }
    return row | shares | against


def main() -> None:
    """Measure every shape that was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path)
    parser.add_argument("--rows", type=int, default=262_144)
    parser.add_argument("--queries", default="50000,200000")
    parser.add_argument("--widths", default="512,640,768")
    parser.add_argument("--device", default="cuda")
    given = parser.parse_args()
    if given.device != "cpu" and not torch.cuda.is_available():
        sys.exit("no CUDA device on this machine; the GPU rows of the table were not run")
    shapes = [(int(q), int(w)) for q in given.queries.split(",") for w in given.widths.split(",")]
    card = "cpu" if given.device == "cpu" else torch.cuda.get_device_name()
    found = {"machine": machine() | {"gpu": card}}
    found["rows"] = [measure(given.rows, count, width, given.device) for count, width in shapes]
    text = json.dumps(found, indent=2)
    print(text)
    if given.out:
        given.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
