"""Rows of a stranger's Parquet file in bounded memory, whatever its few bytes would become.

A page of some kilobytes may become gigabytes, and so may rows that all number one long value of a dictionary. The first
is refused before it is unpacked; of the second, as few rows come at a time as fit.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from io import RawIOBase

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from indexes.errors import DataError
from pipeline.files.inflating.page_headers import NoPageError, Page, ReadAt, pages

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
        taken += _plain_bytes(batch)
        if taken > WHOLE_BYTES:
            raise DataError(
                f"'{path}' becomes more than {WHOLE_BYTES:,} bytes in memory, where all its rows are needed at once. "
                "Write it again as several files of fewer rows, each with what lies beside it"
            )
        yield batch


def _longest(file: pq.ParquetFile, group: int, names: Sequence[str] | None, read: ReadAt, path: str) -> int:
    """Look at all pages of a row group; say what a row of it may take, in bytes, by its dictionaries."""
    found = file.metadata.row_group(group)
    columns = ((number, found.column(number)) for number in range(found.num_columns))
    return sum(
        _longest_value(column, file.schema.column(number).length, read, path)
        for number, column in columns
        if names is None or any(f"{column.path_in_schema}.".startswith(f"{name}.") for name in names)
    )


def _longest_value(column: pq.ColumnChunkMetaData, width: int | None, read: ReadAt, path: str) -> int:
    """Look at the pages of a column; say what a value that stands in a dictionary takes at most."""
    start = column.data_page_offset
    if column.dictionary_page_offset:
        start = min(start, column.dictionary_page_offset)
    inflated, dictionaries = 0, []
    try:
        for page in pages(read, start, column.total_compressed_size, column.num_values):
            inflated += page.inflated
            dictionaries += [page] if page.dictionary else []
    except NoPageError as error:
        raise pa.ArrowInvalid(f"column '{column.path_in_schema}' has {error}") from error
    if inflated > max(PLAIN_BYTES, EXPANSION * column.total_compressed_size):
        raise DataError(
            f"'{path}' is packed so that its column '{column.path_in_schema}' would become {inflated:,} bytes of "
            f"{column.total_compressed_size:,}, which no text or image does. If it is what you mean to read, write "
            "it again in smaller row groups"
        )
    if column.physical_type == "FIXED_LEN_BYTE_ARRAY":
        return width or 0
    lengths = (_longest_text(page, column.compression, read) for page in dictionaries)
    return max(lengths, default=0) if column.physical_type == "BYTE_ARRAY" else 0


def _longest_text(page: Page, compression: str, read: ReadAt) -> int:
    """Find the longest value of a dictionary: each has its length before it, in four bytes."""
    if page.inflated > _DICTIONARY_READ or compression not in (*_CODECS, "UNCOMPRESSED"):
        return page.inflated
    content = read(page.place, page.packed)
    if compression in _CODECS:
        content = pa.decompress(content, page.inflated, compression.lower(), asbytes=True)
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
        size = _plain_bytes(batch)
        if held and (count + len(batch) > rows or taken + size > BATCH_BYTES):
            yield _one(held)
            held, count, taken = [], 0, 0
        held.append(batch)
        count, taken = count + len(batch), taken + size
    if held:
        yield _one(held)


def _plain_bytes(batch: pa.RecordBatch) -> int:
    """Bytes of a batch once what numbers values of a dictionary is those values."""
    total = int(batch.nbytes)
    for column in batch.columns:
        if pa.types.is_dictionary(column.type) and _is_text(column.type.value_type):
            total += pc.sum(pc.binary_length(column.dictionary).take(column.indices)).as_py() or 0
    return total


def _is_text(kind: pa.DataType) -> bool:
    return kind in (pa.string(), pa.large_string(), pa.binary(), pa.large_binary())


def _one(held: list[pa.RecordBatch]) -> pa.RecordBatch:
    return held[0] if len(held) == 1 else pa.concat_batches(held)
