"""Each sample's nearest centroid on the CPU: both sides as rows of whole numbers (`indexes.lattice`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from indexes.cpu.packing import padded_bits, padded_width
from indexes.cpu.processor import COLUMNS, ROWS
from indexes.lattice.choosing import lattice_of
from indexes.lattice.laid import KNOWN
from indexes.lattice.nearest_columns import BestColumns, LaidColumns, best_of, laid_columns
from indexes.lattice.points import EIGHTHS, place
from indexes.scanner import ScanOptions, check_memory, check_samples

_SEEN = 2048
"""Samples and centroids that the lattice is taken from."""


class NearestCentroids:
    """Finds the best of k centroids for a stream of samples; ties go to the lower one.

    Args:
        centroids: `(k, d)` float16.
        levels: `(k,)` float64 that are taken off the products before they are compared, or None.
        options: Threads, memory and numbers; they change no result.

    Raises:
        BadInputError: If the memory limit is too small for the centroids and one block.
    """

    def __init__(
        self, centroids: NDArray[np.float16], levels: NDArray[np.float64] | None, options: ScanOptions
    ) -> None:
        self._centroids, self._levels, self._narrow = centroids, levels, options.bfloat16
        # Numbers may take four bytes, and they are held twice: row by row, and laid out for the tile.
        width = padded_width(centroids.shape[1])
        row = 8 * width + KNOWN.itemsize + 8 * len(EIGHTHS)
        held = (len(centroids) + COLUMNS) * row
        least = held + ROWS * row
        check_memory(least, options.memory_limit, f"{len(centroids)} centroids of width {centroids.shape[1]}")
        self._threads = min(options.workers, (options.memory_limit - held) // (ROWS * row))
        self._block = (options.memory_limit - held) // (self._threads * row)
        self._columns: LaidColumns | None = None

    def find(self, samples: NDArray[np.float16], guess: NDArray[np.int32] | None = None) -> BestColumns:
        """Find the best centroid of `(n, d)` float16 samples.

        Args:
            samples: The samples.
            guess: `(n,)` centroids that are likely to be near; they change no answer, and spare work where they are.

        Raises:
            ShapeError: If the width is not the centroids'.
            DataError: If `samples` are not float16, or a row is not finite.
        """
        check_samples(samples, self._centroids.shape[1])
        if not len(samples):
            return BestColumns(np.empty(0), np.empty(0, np.int32), 0)
        bits, which = padded_bits(samples), np.arange(len(samples))
        columns = self._columns = self._columns or self._laid(bits[:_SEEN])
        return best_of(
            columns,
            lambda rows: place(bits, which[rows], columns.lattice, "samples"),
            len(self._centroids),
            np.full(len(samples), -np.inf),
            self._threads,
            guess,
            self._block,
        )

    def _laid(self, samples: NDArray[np.uint16]) -> LaidColumns:
        """Lay the centroids out on a lattice that suits them, and samples, which lie farther out than means of them."""
        bits, every = padded_bits(self._centroids), np.arange(len(self._centroids))
        both = np.concatenate([samples, bits[:_SEEN]])
        lattice = lattice_of(both, np.arange(len(both)), self._narrow)
        return laid_columns(place(bits, every, lattice), lattice, every, self._levels)
