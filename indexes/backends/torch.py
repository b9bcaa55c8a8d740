"""The exact search on a torch device: GPUs through a fused kernel, anything else through plain torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from indexes.decide import Maxima, as_scores
from indexes.device_exact import offers_of, resolve_rows
from indexes.errors import BadInputError, RunFailedError
from indexes.group_maxima import GROUP, columns_of, device_error_bound, fused_maxima
from indexes.kbest import KBest, Offers
from indexes.queries import Queries, check_norms
from indexes.scanner import ScanOptions, check_memory, check_samples, check_uids
from indexes.scores import Neighbours, Scores

if TYPE_CHECKING:
    from torch import Tensor

EXACT = True
MOST_ROWS = 1 << 16


class TorchScanner:
    """Scan on a torch device with decisions equal to float64's."""

    def __init__(self, queries: Queries, options: ScanOptions) -> None:
        import torch

        torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
        self._device = device_of(options.device)
        size, width = queries.vectors.shape
        held = size * (2 * width + 32 * options.k + 12)
        per_row = 2 * width + (12 * size // GROUP if self._device != "cpu" else 8 * size)
        check_memory(held + GROUP * per_row, options.memory_limit, f"{size} queries of width {width}")
        self._rows = int(np.clip((options.memory_limit - held) // per_row, GROUP, MOST_ROWS))
        self._queries, self._columns = queries, columns_of(queries, self._device)
        levels = queries.thresholds if queries.thresholds is not None else np.zeros(size)
        self._levels = torch.from_numpy(levels).to(self._device)
        self._longest = _longest(self._columns.vectors)
        self._steepest = float(np.abs(levels).max())
        self._best, self._seen = KBest(size, options.k), 0

    def scan(self, samples: NDArray[np.float16], uids: NDArray[np.uint64] | None = None) -> Scores:
        """Score one block; see `indexes.scanner.Scanner`."""
        import torch

        check_samples(samples, self._queries.width)
        check_norms(samples, "sample")
        samples = np.ascontiguousarray(samples)
        uids = check_uids(uids, len(samples), self._seen)
        found = (
            Maxima(len(samples), len(self._queries.names)),
            Maxima(len(samples), len(self._queries.names)),
        )
        start, ahead = 0, self._upload(samples, 0)
        while start < len(samples):
            try:
                ahead = self._block(samples, start, ahead, found, uids)
                start += self._rows
            except torch.OutOfMemoryError as error:
                self._halve(error)
                ahead = self._upload(samples, start)
        self._seen += len(samples)
        return as_scores(self._queries, found[0], found[1] if self._queries.thresholds is not None else None)

    def neighbours(self) -> Neighbours:
        """Give the nearest samples of each query over the stream so far."""
        return self._best.neighbours()

    def _block(
        self,
        samples: NDArray[np.float16],
        start: int,
        block: Tensor,
        found: tuple[Maxima, Maxima],
        uids: NDArray[np.uint64],
    ) -> Tensor:
        """Screen and decide one block; the next one is copied meanwhile. What is kept changes only at the end."""
        screened = fused_maxima(block, self._columns)
        ahead = self._upload(samples, start + self._rows)
        error = device_error_bound(_longest(block), self._longest, block.shape[1], self._steepest)
        parts = (Maxima(len(block), len(self._queries.names)), Maxima(len(block), len(self._queries.names)))
        resolve_rows(block, self._columns, screened.similarity, None, error, parts[0])
        if self._queries.thresholds is not None:
            resolve_rows(block, self._columns, screened.margin, self._levels, error, parts[1])
        k, floor = self._best.k, self._best.floor.copy()
        offers = list(offers_of(block, self._columns, screened.column, floor, k, error))
        for whole, part in zip(found, parts, strict=True):
            whole.value[start : start + len(block)] = part.value
            whole.query[start : start + len(block)] = part.query
        for some in offers:
            rows = start + some.position
            self._best.offer(Offers(some.query, some.similarity, uids[rows], self._seen + rows))
        return ahead

    def _upload(self, samples: NDArray[np.float16], start: int) -> Tensor:
        """Copy a block to the device; on CUDA from pinned memory in a stream of its own, beside the products."""
        import torch

        block = torch.from_numpy(samples[start : start + self._rows])
        if self._device == "cpu":
            return block
        copies = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        with torch.cuda.stream(copies):
            moved = block.pin_memory().to(self._device, non_blocking=True)
        torch.cuda.current_stream(self._device).wait_stream(copies)
        moved.record_stream(torch.cuda.current_stream(self._device))
        return moved

    def _halve(self, error: Exception) -> None:
        """Take smaller blocks from now on.

        Raises:
            RunFailedError: If they are as small as can be.
        """
        import torch

        if self._rows <= GROUP:
            raise RunFailedError(
                f"{self._device} has no memory left for {GROUP} samples against "
                f"{len(self._queries.vectors)} queries; free it, or use fewer benchmarks at once"
            ) from error
        self._rows = max(GROUP, self._rows // 2)
        if self._device != "cpu":
            torch.cuda.empty_cache()


def device_of(name: str) -> str:
    """Turn a device option into a device that there is.

    Raises:
        BadInputError: If CUDA is asked for where there is none.
    """
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name != "cpu" and not torch.cuda.is_available():
        raise BadInputError(f"device '{name}' is not here: torch sees no CUDA device. Use device cpu or auto")
    return name


def open_scanner(queries: Queries, options: ScanOptions) -> TorchScanner:
    """Open the torch scanner."""
    return TorchScanner(queries, options)


def _longest(rows: Tensor) -> float:
    """Largest row norm, rounded up."""
    import torch

    return float(torch.linalg.vector_norm(rows.float(), dim=1).max()) * (1 + 2.0**-8) if len(rows) else 0.0
