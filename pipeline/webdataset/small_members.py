"""Members that are small, or looked at, as the source has them: those that lie close together are read at once.

A sample's json and txt mostly stand behind one another in its tar. To ask for each would cost more than to read the
header between them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.webdataset.source_tars import ReadInto, SourceTars

Integers = NDArray[np.int64]
SMALL = 4096
"""Bytes of a member that is as quickly copied as asked for."""
# Bytes between two members that are read along with both: headers, the time of the second, and padding.
_BETWEEN = 4096


class SmallMembers:
    """Reads the small members of some samples at a time; what was read stays until the next are."""

    def __init__(self, sources: SourceTars) -> None:
        self._sources = sources
        self._room = memoryview(bytearray())

    def read(
        self, paths: list[str], sample: Integers, offset: Integers, size: Integers
    ) -> tuple[memoryview, Integers]:
        """Read members.

        Args:
            paths: The file that each sample lies in.
            sample: `(n,)` the sample of each, none before an earlier one.
            offset: `(n,)` where its bytes lie in the file.
            size: `(n,)` how many they are.

        Returns:
            What was read, and `(n,)` where in it the bytes of each begin.

        Raises:
            DataError: As `SourceTars.read`.
        """
        if not len(sample):
            return self._room, np.zeros(0, np.int64)
        ends = offset + size
        between = offset[1:] - ends[:-1]
        apart = (sample[1:] != sample[:-1]) | (between < 0) | (between > _BETWEEN)
        first = np.flatnonzero(np.concatenate([[True], apart]))
        last = np.append(first[1:], len(sample)) - 1
        length = ends[last] - offset[first]
        stops = np.cumsum(length)
        starts = stops - length
        if stops[-1] > len(self._room):
            self._room = memoryview(bytearray(int(stops[-1])))
        room = self._room
        columns = (column.tolist() for column in (sample[first], offset[first], starts, stops))
        self._sources.read(
            ReadInto(paths[of], at, room[start:stop]) for of, at, start, stop in zip(*columns, strict=True)
        )
        return room, offset + np.repeat(starts - offset[first], last - first + 1)
