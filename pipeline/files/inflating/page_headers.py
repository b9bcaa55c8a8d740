"""Headers of a Parquet file's pages: what each says that it becomes, read without unpacking any.

A page begins with a struct of Thrift's compact protocol (parquet.thrift, `PageHeader`). Arrow believes it: it takes as
much memory as the header says, whatever the footer said of the whole column.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

ReadAt = Callable[[int, int], bytes]
"""Gives up to so many bytes (the second number) from a place in a file (the first)."""
_FIRST_READ = 512
_LONGEST = 16 << 20
"""Arrow's own bound of a header, which holds the smallest and the largest value of its page."""
_DICTIONARY, _SECOND_KIND = 2, 3
_FIRST, _SECOND = 5, 8
"""Fields that describe data pages of the first kind and of the second."""
_RUNS = 3
"""The encoding that is called RLE, and is the hybrid of `list_lengths`."""
_INTEGERS = frozenset({4, 5, 6})
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 12
_DEEPEST = 16


@dataclass(frozen=True, slots=True)
class Page:
    """What a page's header says.

    Attributes:
        dictionary: Whether it holds the values that others number.
        inflated: Bytes once it is unpacked.
        packed: Bytes that it has in the file.
        values: How many values it has, NULL among them; those of a dictionary are not counted.
        place: Where its bytes begin.
        encoding: How its values are written, as parquet.thrift numbers it.
        levels: Bytes of repetition levels that stand before all else and are not packed; None where they are packed
            with the values, after four bytes that say how many they are.
        plain_levels: Whether those are runs, which is how all writers write them by now.
    """

    dictionary: bool
    inflated: int
    packed: int
    values: int
    place: int
    encoding: int = 0
    levels: int | None = None
    plain_levels: bool = False


class NoPageError(ValueError):
    """Where a header should stand are other bytes."""


def pages(read: ReadAt, start: int, length: int, values: int) -> Iterator[Page]:
    """Go through the pages of a column's chunk, as Arrow does: until all values have come.

    Args:
        read: Reads the file.
        start: Where the chunk begins.
        length: Its bytes.
        values: How many values it has.

    Raises:
        NoPageError: If a header is none, or says that it has fewer bytes than none.
    """
    end, seen = start + length, 0
    if start < 0:
        raise NoPageError("pages before the file's first byte")
    while seen < values and start < end:
        page = _header(read, start, end)
        if min(page.inflated, page.packed, page.values, page.levels or 0) < 0:
            raise NoPageError("a page of a negative size")
        yield page
        seen += page.values
        start = page.place + page.packed


def _header(read: ReadAt, start: int, end: int) -> Page:
    size = _FIRST_READ
    while True:
        asked = min(size, end - start)
        parser = _Compact(read(start, asked))
        try:
            return _page(parser, start)
        except IndexError as error:
            if asked < size or size >= _LONGEST:
                raise NoPageError("a header without an end") from error
            size *= 4


def _page(parser: _Compact, start: int) -> Page:
    found: dict[int, int] = {}
    told: dict[tuple[int, int], int] = {}
    for number, kind in parser.fields():
        if number in (1, 2, 3):
            found[number] = parser.integer()
        elif number in (_FIRST, _SECOND) and kind == _STRUCT:
            for inner, inner_kind in parser.fields():
                if inner_kind in _INTEGERS:
                    told[number, inner] = parser.integer()
                else:
                    parser.skip(inner_kind)
        else:
            parser.skip(kind)
    if found.keys() != {1, 2, 3}:
        raise NoPageError("a header that lacks its sizes")
    kind, inflated, packed = (found[number] for number in (1, 2, 3))
    place, dictionary = start + parser.place, kind == _DICTIONARY
    if kind == _SECOND_KIND:
        values, encoding, levels = (told.get((_SECOND, number), 0) for number in (1, 4, 6))
        return Page(dictionary, inflated, packed, values, place, encoding, levels)
    values, encoding, how = (told.get((_FIRST, number), 0) for number in (1, 2, 4))
    return Page(dictionary, inflated, packed, values, place, encoding, plain_levels=how == _RUNS)


class _Compact:
    """Bytes of Thrift's compact protocol, from front to back; at their end, every method raises `IndexError`."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.place = 0

    def fields(self) -> Iterator[tuple[int, int]]:
        """Go through a struct: the number and kind of each field, whose value the caller reads or skips."""
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self.integer()
            yield number, head & 15

    def integer(self) -> int:
        """Read a number, whose sign is its last bit."""
        found = self._unsigned()
        return (found >> 1) ^ -(found & 1)

    def skip(self, kind: int, depth: int = 0) -> None:
        """Pass over a value.

        Raises:
            NoPageError: If there is no such kind, or structs lie too deep in one another.
        """
        if depth > _DEEPEST:
            raise NoPageError("a header too deep in itself")
        if kind in (_TRUE, _FALSE):
            return
        if kind == _BYTE:
            self._pass(1)
        elif kind < _DOUBLE:
            self._unsigned()
        elif kind == _DOUBLE:
            self._pass(8)
        elif kind == _BINARY:
            self._pass(self._unsigned())
        elif kind in (_LIST, _SET):
            self._skip_list(depth)
        elif kind == _STRUCT:
            for _, inner in self.fields():
                self.skip(inner, depth + 1)
        else:
            raise NoPageError(f"a header with a value of kind {kind}")

    def _skip_list(self, depth: int) -> None:
        head = self._byte()
        count = head >> 4 if head >> 4 < 15 else self._unsigned()
        for _ in range(count):
            if head & 15 in (_TRUE, _FALSE):
                self._pass(1)
            else:
                self.skip(head & 15, depth + 1)

    def _unsigned(self) -> int:
        found = shift = 0
        while True:
            byte = self._byte()
            found |= (byte & 127) << shift
            if byte < 128:
                return found
            shift += 7
            if shift > 63:
                raise NoPageError("a number without an end")

    def _byte(self) -> int:
        byte = self._content[self.place]
        self.place += 1
        return byte

    def _pass(self, count: int) -> None:
        self.place += count
        if self.place > len(self._content):
            raise IndexError
