"""A Parquet file that is read from the disk once: hashed, and parsed as often as need be, from the same bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from indexes.errors import DataError
from pipeline.files import parquet
from pipeline.files.afar.far_reading import open_near_or_far
from pipeline.files.afar.stand_ins import length_of
from pipeline.files.digests import sha256_of
from pipeline.files.inflating.bounded_batches import at_most, bounded_batches, read_at, read_at_buffer
from pipeline.files.inflating.page_headers import ReadAt

# A file of more bytes is read from the disk again for its hash, so that memory does not grow with it.
HELD_BYTES = 128 << 20


class MetadataFile:
    """One Parquet file of metadata.

    Attributes:
        path: The file; messages call it so.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._content: pa.Buffer | None = None

    def hold(self) -> None:
        """Read the file into memory, unless it is too long."""
        try:
            if self._content is None and length_of(self.path) <= HELD_BYTES:
                with open_near_or_far(self.path) as file:
                    self._content = pa.py_buffer(file.read() or b"")
        except OSError:
            parquet.parquet_schema(self.path)  # which says what is wrong with it
            raise

    def digest(self) -> str:
        """Hash the file; of one that is held, the bytes that are held. Lowercase hex."""
        return (
            sha256_of(Path(self.path)) if self._content is None else hashlib.sha256(self._content).hexdigest()
        )

    @property
    def rows(self) -> int:
        """Number of rows that the footer declares.

        Raises:
            DataError: If the file is missing, truncated or damaged; so say the other methods too.
        """
        if self._content is None:
            return parquet.parquet_rows(self.path)
        with self._opened() as (file, _):
            return int(file.metadata.num_rows)

    def schema(self) -> pa.Schema:
        """Columns and types."""
        if self._content is None:
            return parquet.parquet_schema(self.path)
        with self._opened() as (file, _):
            return file.schema_arrow

    def whole(self) -> pa.Table:
        """Read all rows and columns, with page checksums verified."""
        found = list(at_most(self.batches(None, parquet.ROW_GROUP), self.path))
        return pa.Table.from_batches(found).combine_chunks() if found else self.schema().empty_table()

    def batches(self, names: Sequence[str] | None, rows: int) -> Iterator[pa.RecordBatch]:
        """Read all columns or some, in batches of at most `rows` rows, with page checksums verified."""
        with self._opened() as (file, read):
            yield from bounded_batches(file, read, self.path, names, rows)

    @contextmanager
    def _opened(self) -> Iterator[tuple[pq.ParquetFile, ReadAt]]:
        if self._content is None:
            with parquet.opened_parquet(Path(self.path)) as file, open_near_or_far(self.path) as raw:
                yield file, read_at(raw)
            return
        try:
            held = pa.BufferReader(self._content)
            with pq.ParquetFile(held, page_checksum_verification=True) as file:
                yield file, read_at_buffer(self._content)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            for _ in MetadataFile(self.path).batches(None, parquet.ROW_GROUP):
                pass  # which says what is wrong with it
            raise DataError(
                f"'{self.path}' was not a whole Parquet file when it was read ({error}), and is one now. "
                "Run again once nothing writes to it"
            ) from error
