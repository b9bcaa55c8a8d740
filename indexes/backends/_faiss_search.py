"""What the FAISS backends share: one index per benchmark and kind of score, searched for the best few."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.cpu.kbest import KBest, Offers
from indexes.decide import Maxima, as_scores, exact_pairs
from indexes.device.choice import check_device_name
from indexes.errors import BadInputError
from indexes.faiss_library import load_faiss
from indexes.queries import Queries, check_norms
from indexes.scanner import ScanOptions, check_memory, check_samples, check_uids
from indexes.scores import Neighbours, Scores

Build = Callable[[NDArray[np.float32]], Any]
GPU_MOST = 2048
"""FAISS's GPU indexes give lists no longer than this."""

Floats = NDArray[np.float32]
Positions = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Pairs worth an exact product.

    Attributes:
        rows: `(p,)` int64 rows of the block.
        queries: `(p,)` int64 queries, packed or counted from their segment's start.
    """

    rows: Positions
    queries: Positions


class FaissScanner:
    """Scan by FAISS indexes over the queries; what they find is computed exactly, and only that is reported."""

    def __init__(self, queries: Queries, options: ScanOptions, build: Build) -> None:
        size, width = queries.vectors.shape
        held = size * (8 * (width + 1) + 300 + 32 * options.k)
        per_row = 8 * (width + 1) + 48 * (options.k + 8)
        check_memory(held + per_row, options.memory_limit, f"{size} queries of width {width}")
        self._rows = int(np.clip((options.memory_limit - held) // per_row, 1, 16_384))
        self._queries, self._options = queries, options
        wide = queries.vectors.astype(np.float32)
        kinds = [wide]
        if queries.thresholds is not None:
            kinds.append(np.column_stack([wide, -queries.thresholds]).astype(np.float32))
        with threads(options.workers):
            self._indexes = [
                [placed(build(kind[first:last]), options.device) for first, last in self._spans()]
                for kind in kinds
            ]
        self._best, self._seen = KBest(size, options.k), 0

    def scan(self, samples: NDArray[np.float16], uids: NDArray[np.uint64] | None = None) -> Scores:
        """Score one block; see `indexes.scanner.Scanner`."""
        check_samples(samples, self._queries.width)
        check_norms(samples, "sample")
        uids = check_uids(uids, len(samples), self._seen)
        shape = (len(samples), len(self._queries.names))
        found = [Maxima(*shape) for _ in self._indexes]
        over = np.zeros(shape, np.int32)
        with threads(self._options.workers):
            for start in range(0, len(samples), self._rows):
                block = samples[start : start + self._rows]
                for kind, maxima in enumerate(found):
                    self._maxima(block, kind, maxima, over[start : start + self._rows], start)
                self._remember(block, uids[start : start + self._rows], self._seen + start)
        self._seen += len(samples)
        counted = over if self._options.count_over else None
        return as_scores(self._queries, found[0], found[1] if len(found) > 1 else None, counted)

    def neighbours(self) -> Neighbours:
        """List the nearest samples of each query over the stream so far."""
        return self._best.neighbours()

    def best_few(self, vectors: Floats, kind: int, segment: int) -> Candidates:
        """Candidates for the largest score of each row.

        Args:
            vectors: `(n, d)` float32, for margins with a column of ones.
            kind: 0 for similarities, 1 for margins.
            segment: The benchmark.

        Returns:
            Pairs whose queries count from the segment's start.
        """
        index = self._indexes[kind][segment]
        _, found = index.search(vectors, min(self._options.k, index.ntotal, GPU_MOST))
        found[found[:, 0] < 0, 0] = 0
        rows, place = np.nonzero(found >= 0)
        return Candidates(rows, found[rows, place])

    def nearest_samples(self, block: NDArray[np.float16], floor: NDArray[np.float64]) -> Candidates:
        """Candidates for the nearest samples of each query: here, samples that found the query themselves.

        Args:
            block: `(n, d)` float16.
            floor: `(q,)` float64 similarity below which a sample cannot enter.

        Returns:
            Pairs with packed queries.
        """
        parts = []
        for segment, (first, _) in enumerate(self._spans()):
            found = self.best_few(block.astype(np.float32), 0, segment)
            parts.append(Candidates(found.rows, found.queries + first))
        return Candidates(
            *(np.concatenate([getattr(part, name) for part in parts]) for name in ("rows", "queries"))
        )

    def _spans(self) -> list[tuple[int, int]]:
        return list(zip(self._queries.starts[:-1].tolist(), self._queries.starts[1:].tolist(), strict=True))

    def _maxima(
        self, block: NDArray[np.float16], kind: int, maxima: Maxima, over: NDArray[np.int32], start: int
    ) -> None:
        vectors = block.astype(np.float32)
        if kind == 1:
            vectors = np.column_stack([vectors, np.ones(len(block), np.float32)])
        for segment, (first, _) in enumerate(self._spans()):
            found = self.best_few(vectors, kind, segment)
            queries = found.queries + first
            value = exact_pairs(block, self._queries.vectors, found.rows, queries)
            if kind == 1 and self._queries.thresholds is not None:
                value = value - self._queries.thresholds[queries]
                over[:, segment] = np.bincount(found.rows[value > 0], minlength=len(block))
            maxima.offer(found.rows + start, np.full(len(queries), segment), queries, value)

    def _remember(self, block: NDArray[np.float16], uids: NDArray[np.uint64], position: int) -> None:
        floor = self._best.floor
        found = self.nearest_samples(block, floor)
        value = exact_pairs(block, self._queries.vectors, found.rows, found.queries)
        keep = value >= floor[found.queries]
        rows = found.rows[keep]
        self._best.offer(Offers(found.queries[keep], value[keep], uids[rows], position + rows))


def check_device(name: str) -> None:
    """Check that FAISS can compute on a device, before any work; FAISS is imported only where CUDA is named.

    Args:
        name: `auto`, `cpu`, `cuda` or `cuda:<number>`; under `auto` FAISS computes on the CPU.

    Raises:
        BadInputError: If this FAISS cannot use a GPU, or sees no such one.
    """
    check_device_name(name)
    if not name.startswith("cuda"):
        return
    faiss = load_faiss()
    if not hasattr(faiss, "StandardGpuResources"):
        raise BadInputError(
            f"device '{name}' is not for this FAISS build (faiss-cpu); install the 'gpu' extra in place of 'cpu', "
            "or use device cpu"
        )
    seen = faiss.get_num_gpus()
    if _number(name) >= seen:
        there = ", ".join(["cpu", *(f"cuda:{index}" for index in range(seen))])
        raise BadInputError(f"device '{name}' is not there; FAISS sees: {there}. Use one of these, or auto")


def _number(device: str) -> int:
    return int(device.partition(":")[2] or 0)


def placed(index: Any, device: str) -> Any:
    """Move an index to the GPU that a plan names, with the `gpu` extra; `auto` stays on the CPU.

    Raises:
        BadInputError: If this FAISS cannot use a GPU, sees no such one, or has no such index there.
    """
    check_device(device)
    if not device.startswith("cuda"):
        return index
    faiss = load_faiss()
    try:
        return faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), _number(device), index)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1][:200]
        raise BadInputError(
            f"FAISS cannot move its {type(index).__name__} to device '{device}' ({reason}); use device cpu"
        ) from error


def on_host(index: Any) -> Any:
    """Find an index whose lists may have any length: the index itself, or its copy on the CPU if it is on a GPU."""
    faiss = load_faiss()
    gpu: Any = getattr(faiss, "GpuIndex", ())
    return faiss.index_gpu_to_cpu(index) if isinstance(index, gpu) else index


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let FAISS use `count` threads for a while."""
    faiss = load_faiss()
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
