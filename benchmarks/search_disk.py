"""A pool on disk, the way of a run: pipeline/ reads a part, makes it canonical, scans it and writes its scores."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from search_vectors import benchmark_queries, embeddings, seconds

from curation.measure import Block, schema_of
from curation.measures.similarity import Similarity
from indexes.canonical import canonical
from indexes.queries import Queries
from indexes.search import Scanner, open_scanner
from indexes.stream import ahead
from pipeline.files.cursor import BLOCK
from pipeline.files.parquet import open_parquet, write_parquet
from pipeline.files.vectors import blocks, inspect
from pipeline.passes.one_pass import WAITING, _scanned, _spread
from pipeline.passes.part_pass import Pass, pairs
from pipeline.passes.running_search import Search, one_segment
from pipeline.sets.parts import Part, Stored
from pipeline.sets.uids import as_hex, from_pairs

BEST_OF = 3
LANE = "clip image"


def write_pool(path: Path, rows: int, width: int) -> None:
    """Write a pool of clustered vectors, and beside it the rows that a run would have read for it."""
    numbers = np.arange(rows, dtype=np.uint64)
    keys = pa.array([f"{number:09d}" for number in range(rows)])
    uids = as_hex(from_pairs(np.stack([numbers * 0x9E3779B97F4A7C15, numbers], axis=1)))
    samples = pa.table({"uid": uids, "key": keys, "row": numbers.astype(np.int64)})
    write_parquet(path.with_suffix(".parquet"), samples, samples.schema)
    out = np.lib.format.open_memmap(path, "w+", np.float16, (rows, width))
    for number, start in enumerate(range(0, rows, 50_000)):
        size = min(50_000, rows - start)
        out[start : start + size] = embeddings(100 + number, size, width)
    out.flush()


def measure(path: Path, scanner: Scanner, queries: Queries) -> None:
    """What a run does with a pool's part: read, make canonical, scan, write each benchmark's columns."""
    vectors = inspect(path)
    looking = Pass(
        Part(0, str(path.with_suffix(".parquet")), vectors.rows),
        {LANE: Stored((vectors,), True, (path.name,))},
    )
    search = Search(queries.names, LANE, queries, scanner)
    chosen = [Similarity(name) for name in queries.names]
    with ExitStack() as stack:
        sinks = []
        for measured in chosen:
            out = path.with_suffix(f".{measured.benchmark}")
            out.unlink(missing_ok=True)
            schema = schema_of(measured)
            sinks.append((measured.start({}, {}), schema, stack.enter_context(open_parquet(out, schema))))
        for rows, found in ahead(_scanned(looking, [search]), WAITING):
            mask, uids = rows.healthy([LANE]), pairs(rows.table)
            for at, (running, schema, writing) in enumerate(sinks):
                scores = one_segment(found[queries.names[0]], at, None)
                columns = running.apply(Block(uids, {}, {}, scores))
                writing.add(_spread(columns, mask, rows.table.column("uid"), schema))


def file_blocks(path: Path) -> Iterator[NDArray[Any]]:
    """The blocks of vectors that a run reads."""
    return blocks(inspect(path), BLOCK)


def from_disk(pool: int, count: int, width: int) -> dict[str, Any]:
    """Wall time of a pool on disk against the larger of reading alone and computing alone, each at its best."""
    queries = benchmark_queries(count, width)
    read, compute, both = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "img_emb_0.npy"
        write_pool(path, pool, width)
        held = [canonical(block).vectors for block in file_blocks(path)]
        for _ in range(BEST_OF):
            read.append(seconds(lambda: [None for _ in file_blocks(path)]))
            scanner = open_scanner(queries)
            compute.append(seconds(lambda s=scanner: [s.scan(block) for block in held]))
            both.append(seconds(lambda: measure(path, open_scanner(queries), queries)))
    row = {"pool": pool, "queries": count, "width": width, "read_seconds": round(min(read), 2)}
    row |= {"compute_seconds": round(min(compute), 2), "from_disk_seconds": round(min(both), 2)}
    return row | {"to_larger_of_both": round(min(both) / max(min(read), min(compute)), 3)}


def peak_of(path: str, count: int) -> int:
    """Scan a file against `count` queries, and tell this process's peak resident memory in MB."""
    vectors = embeddings(2, count, next(file_blocks(Path(path))).shape[1])
    starts = np.array([0, len(vectors)], np.int64)
    queries = Queries(vectors, ("benchmark",), starts, np.full(len(vectors), 0.8))
    measure(Path(path), open_scanner(queries), queries)
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM"))
