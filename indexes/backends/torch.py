"""The exact search on a torch device: GPUs through a fused kernel, anything else through plain torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from indexes.decide import Maxima, as_scores
from indexes.device.choice import resolve_device
from indexes.device.exact_products import first_floor, near_pairs, resolve_rows
from indexes.device.group_maxima import device_error_bound, fused_maxima
from indexes.device.nearest_lists import DeviceKBest, ordered
from indexes.device.query_columns import GROUP, NOTHING, columns_of
from indexes.device.watchdog import watched
from indexes.errors import RunFailedError
from indexes.queries import MAX_NORM, Queries, check_norms
from indexes.scanner import ScanOptions, check_memory, check_samples, check_uids
from indexes.scores import Neighbours, Scores

if TYPE_CHECKING:
    from torch import Tensor

EXACT = True
MOST_ROWS = 1 << 16
WARM_ROWS = 1 << 11
PER_GROUP = 64
"""Bytes per row and group of queries: the screened scores of either kind, their cuts, and who passes them."""

ABOVE = 1 + 2.0**-8
"""What a float32 norm may lack, rounded up."""


class TorchScanner:
    """Scan on a torch device with decisions equal to float64's."""

    def __init__(self, queries: Queries, options: ScanOptions) -> None:
        import torch

        torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
        self._device = resolve_device(options.device)
        size, width = queries.vectors.shape
        columns = size + GROUP * len(queries.names)
        held = columns * (2 * width + 32 * options.k + 64)
        per_row = 2 * width + columns * (PER_GROUP / GROUP + (0 if self._device != "cpu" else 20))
        check_memory(int(held + GROUP * per_row), options.memory_limit, f"{size} queries of width {width}")
        self._rows = int(np.clip((options.memory_limit - held) // per_row, GROUP, MOST_ROWS))
        self._queries, self._columns = queries, columns_of(queries, self._device)
        thresholds = queries.thresholds
        self._levels = None if thresholds is None else torch.from_numpy(thresholds).to(self._device)
        self._longest = float(np.linalg.norm(queries.vectors.astype(np.float32), axis=1).max()) * ABOVE
        self._steepest = 0.0 if thresholds is None else float(np.abs(thresholds).max())
        self._counts = options.count_over and thresholds is not None
        self._best, self._seen = DeviceKBest(size, options.k, self._device), 0
        cuda = self._device != "cpu"
        self._copies = torch.cuda.Stream(self._device) if cuda else None  # type: ignore[no-untyped-call]

    def scan(self, samples: NDArray[np.float16], uids: NDArray[np.uint64] | None = None) -> Scores:
        """Score one block; see `indexes.scanner.Scanner`."""
        import torch

        check_samples(samples, self._queries.width)
        samples = np.ascontiguousarray(samples)
        order = ordered(check_uids(uids, len(samples), self._seen), self._device)
        kinds = 1 if self._levels is None else 2
        shape = (len(samples), len(self._queries.names))
        found, over = [Maxima(*shape) for _ in range(kinds)], np.zeros(shape, np.int32)
        start, ahead = 0, self._upload(samples, 0)
        while start < len(samples):
            try:
                with watched(self._device, f"comparing {len(ahead)} samples"):
                    size, ahead = len(ahead), self._block(samples, start, ahead, (found, over), order)
                start += size
            except torch.OutOfMemoryError as error:
                self._halve(error)
                ahead = self._upload(samples, start)
        self._seen += len(samples)
        return as_scores(
            self._queries, found[0], found[1] if kinds > 1 else None, over if self._counts else None
        )

    def neighbours(self) -> Neighbours:
        """List the nearest samples of each query over the stream so far."""
        return self._best.neighbours()

    def _block(
        self,
        samples: NDArray[np.float16],
        start: int,
        block: Tensor,
        out: tuple[list[Maxima], NDArray[np.int32]],
        order: Tensor,
    ) -> Tensor:
        """Screen and decide one block; the next one is copied meanwhile. What is kept changes only at the end."""
        import torch

        if self._copies is not None:
            torch.cuda.current_stream(self._device).wait_stream(self._copies)
            block.record_stream(torch.cuda.current_stream(self._device))
        longest = self._norm(samples, start, block)
        error = device_error_bound(longest, self._longest, block.shape[1], self._steepest)
        screened = fused_maxima(block, self._columns, self._cut(block, error))
        ahead = self._upload(samples, start + len(block))
        parts = [resolve_rows(block, self._columns, screened.similarity, None, error)]
        if self._levels is not None:
            parts.append(resolve_rows(block, self._columns, screened.margin, self._levels, error))
        best, segments = self._best.copy(), len(self._queries.names)
        over = torch.zeros(len(block) * segments, dtype=torch.int64, device=block.device)
        for pairs, similarity in near_pairs(block, self._columns, screened.near):
            query = self._columns.query[pairs.columns]
            if self._counts and self._levels is not None:
                place = pairs.rows * segments + self._columns.segment[pairs.columns // GROUP]
                over += torch.bincount(place[similarity > self._levels[query]], minlength=len(over))
            enters = similarity >= best.floor[query]
            rows = pairs.rows[enters] + start
            best.offer(query[enters], similarity[enters], order[rows], rows + self._seen)
        out[1][start : start + len(block)] = over.view(-1, segments).cpu().numpy()
        for whole, part in zip(out[0], parts, strict=True):
            whole.value[start : start + len(block)] = part.value.cpu().numpy()
            whole.query[start : start + len(block)] = part.query.cpu().numpy()
        self._best = best
        return ahead

    def _cut(self, block: Tensor, error: float) -> Tensor:
        """Screened similarity below which a pair needs no exact one, for each column: `(c,)` float32."""
        floor = self._best.floor[self._columns.query]
        if not bool(floor.isfinite().all()):
            floor = floor.maximum(first_floor(block, self._columns.vectors, self._best.k, error))
        if self._counts:
            floor = floor.minimum(self._columns.level.double())
        floor[self._columns.filling] = -NOTHING
        return (floor - error).float()

    def _norm(self, samples: NDArray[np.float16], start: int, block: Tensor) -> float:
        """Largest norm of a block, rounded up; a bad row is named as it is by every backend."""
        import torch

        longest = float(torch.linalg.vector_norm(block, dim=1, dtype=torch.float32).amax())
        if not longest * ABOVE < MAX_NORM:
            check_norms(samples[start : start + len(block)], "sample", start)
        return longest * ABOVE

    def _upload(self, samples: NDArray[np.float16], start: int) -> Tensor:
        """Copy a block to the device; on CUDA from pinned memory in a stream of its own, beside the products.

        A young stream grows from small blocks, whose floors spare the next ones exact products.
        """
        import torch

        rows = min(self._rows, max(WARM_ROWS, self._seen + start))
        block = torch.from_numpy(samples[start : start + rows])
        if self._copies is None:
            return block
        with torch.cuda.stream(self._copies):
            return block.pin_memory().to(self._device, non_blocking=True)

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


def open_scanner(queries: Queries, options: ScanOptions) -> TorchScanner:
    """Open the torch scanner."""
    return TorchScanner(queries, options)
