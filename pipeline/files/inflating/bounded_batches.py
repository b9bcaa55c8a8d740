"""Rows of a stranger's Parquet file in bounded memory, whatever its few bytes would become.

A page of some kilobytes may become gigabytes, and so may rows that all number one long value of a dictionary, or begin
as the one before. The first is refused before it is unpacked; of the second, as few rows come at a time as fit. One row
whose list has more than its bytes account for is refused too.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from io import RawIOBase

import pyarrow as pa
import pyarrow.parquet as pq

from indexes.errors import DataError
from pipeline.files.inflating.list_lengths import RowLengths
from pipeline.files.inflating.page_headers import NoPageError, Page, ReadAt, pages
from pipeline.files.inflating.plain_sizes import plain_bytes

BATCH_BYTES = 256 << 20
"""What rows take in memory at a time, but for a row that takes more by itself."""
PLAIN_BYTES = 256 << 20
"""What a column of a row group may always become."""
EXPANSION = 200
"""How many times its bytes it may become if that is more. Text that compresses best comes to some dozens."""
WHOLE_BYTES = 4 << 30
"""What all rows of a file may take in memory, where they are needed at once."""
_DICTIONARY_READ = 16 << 20
"""Bytes of a dictionary that are looked through; of more, one value might be all."""
_LENGTH = struct.Struct("<I")
_FEW_BYTES = 16 << 20
"""What all lists of a column may take without a look at how long each is."""
_NUMBER = 16
"""Bytes of a value beside its text: the number or the offset, and levels while it is read."""
_DELTAS, _PREFIXES = frozenset({5, 6, 7}), 7
"""Encodings whose numbers are unpacked a page at a time, though thousands may lie in a byte; and the one of texts that
begin as the one before them does."""
_CODECS = frozenset({"SNAPPY", "GZIP", "BROTLI", "ZSTD"})


def read_at(file: RawIOBase) -> ReadAt:
    """Read an open file, which nobody else reads meanwhile."""

    def read(offset: int, size: int) -> bytes:
        file.seek(offset)
        found = b""
        while len(found) < size and (piece := file.read(size - len(found))):
            found += piece
        return found

    return read


def read_at_buffer(content: pa.Buffer) -> ReadAt:
    """Read bytes in memory."""
    held = memoryview(content)
    return lambda offset, size: bytes(held[offset : offset + size])


def bounded_batches(
    file: pq.ParquetFile, read: ReadAt, path: str, names: Sequence[str] | None, rows: int
) -> Iterator[pa.RecordBatch]:
    """Read all columns or some, in order, in batches of at most `rows` rows and about `BATCH_BYTES`.

    Args:
        file: The open file.
        read: Reads the same bytes.
        path: What messages call it.
        names: The columns; None for all.
        rows: Rows of a batch at most.

    Raises:
        DataError: If a column would become more than its bytes account for.
        pa.ArrowException: If the file is damaged.
    """
    wanted = None if names is None else list(names)
    # Asked for all row groups at once, Arrow keeps what it has read of each until the last is done.
    for group in range(file.num_row_groups):
        few = min(rows, max(1, BATCH_BYTES // max(1, _longest(file, group, wanted, read, path))))
        found = file.iter_batches(batch_size=few, row_groups=[group], columns=wanted)
        for batch in _joined(found, rows):
            yield batch if wanted is None else batch.select(wanted)


def at_most(batches: Iterable[pa.RecordBatch], path: str) -> Iterator[pa.RecordBatch]:
    """Pass batches on while all of them together fit into memory.

    Raises:
        DataError: If they take more than `WHOLE_BYTES`.
    """
    taken = 0
    for batch in batches:
        taken += plain_bytes(batch)
        if taken > WHOLE_BYTES:
            raise DataError(
                f"'{path}' becomes more than {WHOLE_BYTES:,} bytes in memory, where all its rows are needed at once. "
                "Write it again as several files of fewer rows, each with what lies beside it"
            )
        yield batch


def _longest(file: pq.ParquetFile, group: int, names: Sequence[str] | None, read: ReadAt, path: str) -> int:
    """Look at all pages of a row group; say what a row of it may take, in bytes, that its pages do not show."""
    found = file.metadata.row_group(group)
    columns = ((number, found.column(number)) for number in range(found.num_columns))
    return sum(
        _Chunk(column, file.schema.column(number), read).longest_row(path)
        for number, column in columns
        if names is None or any(f"{column.path_in_schema}.".startswith(f"{name}.") for name in names)
    )


class _Chunk:
    """A column of a row group, whose pages are looked at."""

    def __init__(self, column: pq.ColumnChunkMetaData, leaf: pq.ColumnSchema, read: ReadAt) -> None:
        self._column, self._leaf, self._read = column, leaf, read
        self._most = max(PLAIN_BYTES, EXPANSION * column.total_compressed_size)

    def longest_row(self, path: str) -> int:
        """Say what a row may take by values that stand in the file once, or by how many values it has.

        Raises:
            DataError: If all pages, or one row, would become more than the column's bytes account for.
        """
        inflated = values = longest = 0
        dictionaries: list[Page] = []
        for page in self._pages():
            inflated += page.inflated + (_NUMBER * page.values if page.encoding in _DELTAS else 0)
            values += page.values
            if page.dictionary:
                dictionaries.append(page)
            elif page.encoding == _PREFIXES:
                longest = max(longest, page.inflated)
        if inflated > self._most:
            raise DataError(
                f"'{path}' is packed so that its {self._said(inflated)}. If it is what you mean to read, write it "
                "again in smaller row groups"
            )
        one = self._longest_value(longest, dictionaries)
        if self._leaf.max_repetition_level == 0 or values * (one + _NUMBER) <= _FEW_BYTES:
            return one
        row = self._longest_list() * (one + _NUMBER)
        if row > self._most:
            raise DataError(
                f"'{path}' is packed so that one row of its {self._said(row)}. If it is what you mean to read, "
                "write it again with shorter lists"
            )
        return row

    def _pages(self) -> Iterator[Page]:
        column = self._column
        start = column.data_page_offset
        if column.dictionary_page_offset:
            start = min(start, column.dictionary_page_offset)
        try:
            yield from pages(self._read, start, column.total_compressed_size, column.num_values)
        except NoPageError as error:
            raise pa.ArrowInvalid(f"column '{column.path_in_schema}' has {error}") from error

    def _said(self, size: int) -> str:
        name, packed = self._column.path_in_schema, self._column.total_compressed_size
        return f"column '{name}' would become {size:,} bytes of {packed:,}, which no text or image does"

    def _longest_value(self, longest: int, dictionaries: list[Page]) -> int:
        """Say what a value takes that others may repeat: one of a dictionary, or what the next ones begin with."""
        if self._column.physical_type == "FIXED_LEN_BYTE_ARRAY":
            return self._leaf.length or 0
        if self._column.physical_type != "BYTE_ARRAY":
            return 0
        lengths = (_longest_text(page, self._column.compression, self._read) for page in dictionaries)
        return max(longest, *lengths, 0)

    def _longest_list(self) -> int:
        lengths = RowLengths(self._leaf.max_repetition_level)
        for page in self._pages():
            if not page.dictionary:
                lengths.add(_levels(page, self._column.compression, self._read), page.values)
        return lengths.longest


def _levels(page: Page, compression: str, read: ReadAt) -> bytes:
    """Read what tells the lists of a page apart; nothing where that is not known."""
    if page.levels is not None:
        return read(page.place, min(page.levels, page.packed))
    content = _content(page, compression, read) if page.plain_levels else None
    return b"" if content is None else content[4 : 4 + int.from_bytes(content[:4], "little")]


def _content(page: Page, compression: str, read: ReadAt) -> bytes | None:
    """Unpack a page whose size is allowed; None where that takes what Arrow does not offer."""
    if compression not in (*_CODECS, "UNCOMPRESSED"):
        return None
    content = read(page.place, page.packed)
    if compression in _CODECS:
        content = pa.decompress(content, page.inflated, compression.lower(), asbytes=True)
    return content


def _longest_text(page: Page, compression: str, read: ReadAt) -> int:
    """Find the longest value of a dictionary: each has its length before it, in four bytes."""
    content = None if page.inflated > _DICTIONARY_READ else _content(page, compression, read)
    if content is None:
        return page.inflated
    place, longest, end = 0, 0, len(content) - 4
    while place <= end:
        (length,) = _LENGTH.unpack_from(content, place)
        if length > longest:
            longest = length
        place += 4 + length
    return min(longest, page.inflated)


def _joined(batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """Put small batches together again, as far as both bounds go."""
    held: list[pa.RecordBatch] = []
    count = taken = 0
    for batch in batches:
        size = plain_bytes(batch)
        if held and (count + len(batch) > rows or taken + size > BATCH_BYTES):
            yield _one(held)
            held, count, taken = [], 0, 0
        held.append(batch)
        count, taken = count + len(batch), taken + size
    if held:
        yield _one(held)


def _one(held: list[pa.RecordBatch]) -> pa.RecordBatch:
    return held[0] if len(held) == 1 else pa.concat_batches(held)
