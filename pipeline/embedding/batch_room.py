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


class OutOfDeviceMemory(RunFailedError):  # noqa: N818 - callers answer it with a smaller batch
    """The batch does not fit the memory."""


class BatchRoom:
    """What is known of one encoder's room on its device; threads may share it."""

    def __init__(self, most: int) -> None:
        """Begin with `most` rows, the whole batch."""
        self._most, self._rows, self._fitted = most, most, 0
        self._lock = threading.Lock()

    def forward(
        self, embed: Callable[[Any], NDArray[np.float32]], rows: NDArray[Any], width: int
    ) -> tuple[NDArray[np.float32], list[bool]]:
        """Embed a batch, in as many passes as the memory asks for.

        Args:
            embed: Takes rows, gives `(n, width)` float32; raises `OutOfDeviceMemory`.
            rows: The batch.
            width: Numbers in one vector.

        Returns:
            `(n, width)` float32, and which rows did fit; a row that does not fit alone is zero.
        """
        vectors = np.zeros((len(rows), width), dtype=np.float32)
        fitted = [True] * len(rows)
        done = 0
        while done < len(rows):
            taken = min(self._rows, len(rows) - done)
            try:
                vectors[done : done + taken] = embed(rows[done : done + taken])
                self._fits()
            except OutOfDeviceMemory:
                if taken > 1:
                    self._shrink(taken)
                    continue
                fitted[done] = False
            done += taken
        return vectors, fitted

    def _fits(self) -> None:
        with self._lock:
            self._fitted += 1
            if self._fitted >= GROWS_AFTER and self._rows < self._most:
                self._rows, self._fitted = 2 * self._rows, 0  # of a batch no more are taken than it has

    def _shrink(self, taken: int) -> None:
        with self._lock:
            self._rows, self._fitted = min(self._rows, max(1, taken // 2)), 0
