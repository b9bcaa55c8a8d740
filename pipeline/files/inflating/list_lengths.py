"""How many values of a column the longest row of a row group has: a list of millions may lie in a few bytes.

What the pages say of it are repetition levels (parquet-format, Encodings.md, RLE/bit-packed hybrid): 0 begins a row,
anything else goes on with it. Runs of one level are a number and a count, so the levels of a file may say of far more
values than it has bytes.
"""

from __future__ import annotations

import numpy as np

_AT_ONCE = 1 << 20
"""Bytes of packed levels that are unpacked at a time, into one byte for each bit."""
_RUNS_READ = 1 << 22
"""Runs of a page that are looked at, which takes seconds. A page of honest lists has far fewer."""


class RowLengths:
    """The longest row so far, over pages that come in order; a row may go on in the next page.

    Attributes:
        longest: Values of the longest row, NULL and empty lists among them.
    """

    def __init__(self, deepest: int) -> None:
        """Begin a column whose levels are at most `deepest`, which is above 0: lists in lists have higher ones."""
        self._width = deepest.bit_length()
        self.longest = 0
        self._current = 0

    def add(self, levels: bytes, values: int) -> None:
        """Count a page's values. Where its levels end early, or are not known (no bytes), the rest is one row.

        Args:
            levels: Repetition levels, as runs.
            values: How many values the page has.
        """
        place = 0
        for _ in range(_RUNS_READ):
            head = _varint(levels, place)
            if values <= 0 or head is None:
                break
            number, place = head
            count = number >> 1
            if number & 1:
                end = place + count * self._width
                values -= self._packed(levels[place:end], min(values, 8 * count))
                place = end
            else:
                end = place + (self._width + 7) // 8
                if end > len(levels):
                    break
                count = min(count, values)
                self._run(any(levels[place:end]), count)
                values, place = values - count, end
        self._run(True, values)

    def _run(self, same_row: bool, count: int) -> None:
        if count > 0:
            self._current = self._current + count if same_row else 1
            self.longest = max(self.longest, self._current)

    def _packed(self, content: bytes, values: int) -> int:
        """Count values whose levels are packed, and say how many these are; what is cut off has none."""
        step = _AT_ONCE // self._width * self._width
        counted = 0
        for start in range(0, len(content) // self._width * self._width, step):
            bits = np.unpackbits(np.frombuffer(content[start : start + step], np.uint8), bitorder="little")
            goes_on = bits[: len(bits) // self._width * self._width].reshape(-1, self._width).max(axis=1)
            goes_on = goes_on[: values - counted]
            begins = np.flatnonzero(goes_on == 0)
            if len(begins):
                self._run(True, int(begins[0]))
                self.longest = max(self.longest, int(np.diff(begins, append=begins[-1] + 1).max()))
                self._run(False, 1)
                self._run(True, len(goes_on) - 1 - int(begins[-1]))
            else:
                self._run(True, len(goes_on))
            counted += len(goes_on)
        return counted


def _varint(content: bytes, place: int) -> tuple[int, int] | None:
    """Read a number of up to 32 bits and where it ends; None where the bytes end before."""
    found = 0
    for shift in range(0, 35, 7):
        if place >= len(content):
            return None
        found |= (content[place] & 127) << shift
        place += 1
        if content[place - 1] < 128:
            return found, place
    return None
