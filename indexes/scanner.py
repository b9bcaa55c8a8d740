"""The protocol that every search backend speaks, and the options that it takes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from indexes.device.choice import check_device_name
from indexes.errors import BadInputError, DataError, ShapeError
from indexes.scores import Neighbours, Scores


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """How to scan.

    Attributes:
        k: Neighbours to keep per query, at least 1.
        device: `auto`, `cpu`, `cuda` or `cuda:<number>`.
        threads: CPU threads; None takes what this process may use.
        memory_limit: Bytes that a scanner may hold besides the queries and blocks that it is given.
        bfloat16: Whether the exact engine may screen in bfloat16, or in int16, where the processor multiplies them
            faster than float32; the answers are the same.
        count_over: Whether to count, per sample and benchmark, the queries whose threshold it exceeds. An approximate
            backend counts those that it found.

    Raises:
        BadInputError: If a value is outside its range.
    """

    k: int = 10
    device: str = "auto"
    threads: int | None = None
    memory_limit: int = 1 << 30
    bfloat16: bool = True
    count_over: bool = False

    def __post_init__(self) -> None:
        """Refuse values that no backend could use."""
        if self.k < 1:
            raise BadInputError(f"k is {self.k}; at least 1 neighbour per query is kept")
        if self.threads is not None and self.threads < 1:
            raise BadInputError(f"threads is {self.threads}; give at least 1, or leave it out")
        if self.memory_limit < 1:
            raise BadInputError(f"memory_limit is {self.memory_limit} bytes; give a positive number")
        check_device_name(self.device)

    @property
    def workers(self) -> int:
        """Number of threads to use."""
        return self.threads or len(os.sched_getaffinity(0))


class Scanner(Protocol):
    """A stream of sample blocks against held queries."""

    def scan(self, samples: NDArray[np.float16], uids: NDArray[np.uint64] | None = None) -> Scores:
        """Score one block of the stream, `(n, d)` float16 with `(n, 2)` uids, and remember its nearest."""
        ...

    def neighbours(self) -> Neighbours:
        """List the nearest samples of each query over the stream so far."""
        ...


def check_samples(samples: NDArray[np.float16], width: int) -> None:
    """Check type and width of a block, which must be `(n, width)` float16.

    Raises:
        ShapeError: If `samples` is not `(n, width)`.
        DataError: If it is not float16.
    """
    if samples.ndim != 2 or samples.shape[1] != width:
        raise ShapeError(
            f"samples have shape {samples.shape} but the queries have width {width}; "
            "both must come from one encoder"
        )
    if samples.dtype != np.float16:
        raise DataError(f"samples are {samples.dtype}, a scan takes float16; pass them through canonical()")


def check_uids(uids: NDArray[np.uint64] | None, rows: int, position: int) -> NDArray[np.uint64]:
    """Make `(rows, 2)` uint64 uids of what a caller gave; without any, the stream position takes their place.

    Raises:
        ShapeError: If there is not one uid per sample.
    """
    if uids is None:
        made = np.zeros((rows, 2), np.uint64)
        made[:, 1] = np.arange(position, position + rows, dtype=np.uint64)
        return made
    if uids.shape != (rows, 2):
        raise ShapeError(f"uids have shape {uids.shape} for {rows} samples; expected ({rows}, 2)")
    return np.ascontiguousarray(uids, dtype=np.uint64)


def check_memory(needed: int, limit: int, what: str) -> None:
    """Refuse a limit under which not even one block fits.

    Raises:
        BadInputError: Naming both sizes.
    """
    if needed > limit:
        raise BadInputError(
            f"memory limit of {limit / 1e6:,.1f} MB is too small: {what} need {needed / 1e6:,.1f} MB "
            "for the smallest block; raise memory_limit or use fewer queries"
        )
