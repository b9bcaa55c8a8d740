"""How many rows a device's memory holds at a time: halved where it runs out, and tried again larger later."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.errors import RunFailedError

GROWS_AFTER = 16
"""Passes that must have fitted before twice as many rows are tried."""
_NO_MEMORY = ("can't allocate memory", "CUDA error: out of memory", "_STATUS_ALLOC_FAILED")
"""What a processor's allocator, CUDA's driver (of pinned memory too), and its libraries for products say."""


class OutOfDeviceMemory(RunFailedError):  # noqa: N818 - callers answer it with a smaller batch
    """The batch does not fit the memory. If it is one row, the unit fails: all rows are of one size, so none fits."""


def is_memory(error: RuntimeError) -> bool:
    """Tell whether there was not enough memory, which torch says in words alone but of its own allocator on a card."""
    return type(error).__name__ == "OutOfMemoryError" or any(words in str(error) for words in _NO_MEMORY)


def no_room(device: str, what: str) -> OutOfDeviceMemory:
    """Say what does not fit, and what can be done."""
    return OutOfDeviceMemory(
        f"the memory of {device} has no room for {what}; free some, take fewer --workers, or another --device, and run "
        "again to resume"
    )


class BatchRoom:
    """What is known of one encoder's room on its device; threads may share it."""

    def __init__(self, most: int) -> None:
        """Begin with `most` rows, the whole batch."""
        self._most, self._rows, self._fitted = most, most, 0
        self._lock = threading.Lock()

    def forward(
        self, embed: Callable[[Any], NDArray[np.float32]], rows: NDArray[Any], width: int
    ) -> NDArray[np.float32]:
        """Embed a batch, in as many passes as the memory asks for.

        Args:
            embed: Takes rows, gives `(n, width)` float32; raises `OutOfDeviceMemory`.
            rows: The batch.
            width: Numbers in one vector.

        Returns:
            `(n, width)` float32.

        Raises:
            OutOfDeviceMemory: If one row does not fit.
        """
        vectors = np.empty((len(rows), width), dtype=np.float32)
        done = 0
        while done < len(rows):
            taken = min(self._rows, len(rows) - done)
            try:
                vectors[done : done + taken] = embed(rows[done : done + taken])
            except OutOfDeviceMemory:
                if taken == 1:
                    raise
                self._shrink(taken)
                continue
            self._fits()
            done += taken
        return vectors

    def _fits(self) -> None:
        with self._lock:
            self._fitted += 1
            if self._fitted >= GROWS_AFTER and self._rows < self._most:
                self._rows, self._fitted = 2 * self._rows, 0  # of a batch no more are taken than it has

    def _shrink(self, taken: int) -> None:
        with self._lock:
            self._rows, self._fitted = min(self._rows, max(1, taken // 2)), 0
