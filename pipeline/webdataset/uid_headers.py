"""Headers of many members at once, byte for byte those that are written one by one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.webdataset.tar_writing import BLOCK, SIZE, SUM, header

_DIGITS = "0" * 32
_SHIFTS = np.arange(30, -1, -3)
_SUM_SHIFTS = np.arange(15, -1, -3)


class UidHeaders:
    """Writes many headers at once, of members that are called by 32 digits, a dot and what they are.

    Args:
        kinds: What members are: `jpg`, `json`, `mask.png`, ….
    """

    def __init__(self, kinds: Sequence[str]) -> None:
        made = [header(f"{_DIGITS}.{kind}", 0) for kind in kinds]
        self.plain = np.array([len(one) == BLOCK for one in made], np.bool_)
        """`(kinds,)`: whether the name goes into a plain header."""
        self._blocks = np.frombuffer(b"".join(one[:BLOCK] for one in made), np.uint8).reshape(-1, BLOCK)
        told = np.arange(len(made))[:, None], np.arange(SUM.start, SUM.stop - 1)
        zeros = np.int64(ord("0")) * (len(_DIGITS) + len(_SHIFTS))
        self._sums = _number(self._blocks[told]) - zeros

    def blocks(
        self, kinds: NDArray[np.int64], digits: NDArray[np.uint8], sizes: NDArray[np.int64]
    ) -> NDArray[np.uint8]:
        """Write headers, each as `header` writes it.

        Args:
            kinds: `(n,)` positions in the list of kinds, of plain ones.
            digits: `(n, 32)` ASCII.
            sizes: `(n,)` bytes, below 8**11.

        Returns:
            `(n, 512)`.
        """
        found = self._blocks[kinds]
        found[:, : len(_DIGITS)] = digits
        told = _octal(sizes, _SHIFTS)
        found[:, SIZE.start : SIZE.stop - 1] = told
        total = self._sums[kinds] + digits.sum(1, dtype=np.int64) + told.sum(1, dtype=np.int64)
        found[:, SUM.start : SUM.stop - 1] = _octal(total, _SUM_SHIFTS)
        return found


def _octal(numbers: NDArray[np.int64], shifts: NDArray[np.int64]) -> NDArray[np.uint8]:
    return ((numbers[:, None] >> shifts & 7) + ord("0")).astype(np.uint8)


def _number(digits: NDArray[np.uint8]) -> NDArray[np.int64]:
    numbers: NDArray[np.int64] = ((digits.astype(np.int64) - ord("0")) << _SUM_SHIFTS).sum(1)
    return numbers
