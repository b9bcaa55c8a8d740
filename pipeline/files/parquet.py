"""Parquet with bytes that depend on the rows alone, checksums on every page, errors that name the file."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from indexes.errors import DataError, OutputError, ShapeError
from pipeline.files.afar.arrow_source import arrow_source
from pipeline.files.storage import output_errors

ROW_GROUP = 131_072

Batches: TypeAlias = pa.Table | Iterable[pa.Table | pa.RecordBatch]


def write_parquet(path: str | os.PathLike[str], batches: Batches, schema: pa.Schema) -> int:
    """Write a new Parquet file and return its number of rows.

    The bytes depend on the rows, their order and the schema, not on how the rows are spread over `batches` or
    on metadata that the schema carries. Memory holds one row group and one batch.

    Args:
        path: The file, which must not exist yet (nothing is written in place; see pipeline/commit/attempts.py).
        batches: A table, or tables or record batches in row order.
        schema: Columns and types of the file; each batch must have these (others are left out) and is cast.

    Raises:
        OutputError: If the file exists or cannot be written; no partial file stays behind.
        ShapeError: If a batch lacks a column, or a value does not fit its type.
    """
    with open_parquet(path, schema) as writing:
        for batch in [batches] if isinstance(batches, pa.Table) else batches:
            writing.add(batch)
    return writing.rows


class Writing:
    """A Parquet file on its way; memory holds one row group and one batch."""

    def __init__(self, path: Path, schema: pa.Schema, writer: pq.ParquetWriter) -> None:
        self.rows = 0
        self._path, self._schema, self._writer = path, schema, writer
        self._waiting: list[pa.Table] = []
        self._held = 0

    def add(self, batch: pa.Table | pa.RecordBatch) -> None:
        """Write the next rows.

        Raises:
            ShapeError: If the batch lacks a column, or a value does not fit its type.
        """
        table = _fitted(batch, self._schema, self._path)
        while self._held + table.num_rows >= ROW_GROUP:
            room = ROW_GROUP - self._held
            self._waiting.append(table.slice(0, room))
            table = table.slice(room)
            self._held = ROW_GROUP
            self.flush()
        if table.num_rows:
            self._waiting.append(table)
            self._held += table.num_rows

    def flush(self) -> None:
        """Write what waits as one row group."""
        if self._held:
            # Page boundaries follow the chunks of an array, so a row group is always one chunk.
            group = pa.concat_tables(self._waiting).combine_chunks()
            with output_errors(self._path):
                self._writer.write_table(group, row_group_size=ROW_GROUP)
            self.rows += group.num_rows
            self._waiting, self._held = [], 0


@contextlib.contextmanager
def open_parquet(path: str | os.PathLike[str], schema: pa.Schema) -> Iterator[Writing]:
    """Open a new Parquet file to which rows are added; it is whole when the block ends.

    Raises:
        OutputError: As `write_parquet`.
    """
    target, plain = Path(path), _without_metadata(schema)
    with _new_file(target, plain) as writer:
        writing = Writing(target, plain, writer)
        yield writing
        writing.flush()


def read_parquet(path: str | os.PathLike[str], columns: Sequence[str] | None = None) -> pa.Table:
    """Read a Parquet file, or some of its columns in the order asked, with page checksums verified.

    Raises:
        DataError: If the file is missing, truncated or damaged, or lacks one of the columns.
    """
    with opened_parquet(Path(path), columns) as file:
        table = file.read(columns=None if columns is None else list(columns))
        return table if columns is None else table.select(list(columns))


def read_batches(
    path: str | os.PathLike[str], columns: Sequence[str] | None = None, rows: int = ROW_GROUP
) -> Iterator[pa.RecordBatch]:
    """Read a Parquet file as batches of at most `rows` rows, with page checksums verified.

    Raises:
        DataError: As `read_parquet`.
    """
    names = None if columns is None else list(columns)
    with opened_parquet(Path(path), columns) as file:
        # Asked for all row groups at once, Arrow keeps what it has read of each until the last is done.
        for group in range(file.num_row_groups):
            batches = file.iter_batches(batch_size=rows, row_groups=[group], columns=names)
            yield from (batch if names is None else batch.select(names) for batch in batches)


def parquet_rows(path: str | os.PathLike[str]) -> int:
    """Number of rows that the footer declares.

    Raises:
        DataError: If the file is missing, truncated or damaged.
    """
    with opened_parquet(Path(path)) as file:
        return int(file.metadata.num_rows)


def parquet_schema(path: str | os.PathLike[str]) -> pa.Schema:
    """Columns and types of a Parquet file.

    Raises:
        DataError: If the file is missing, truncated or damaged.
    """
    with opened_parquet(Path(path)) as file:
        return file.schema_arrow


@contextlib.contextmanager
def _new_file(path: Path, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    _create(path)
    try:
        # pq.write_table removes what is at the destination when it fails; a writer on a stream does not.
        with output_errors(path), pa.OSFile(str(path), "wb") as stream:
            writer = _open_writer(stream, schema)
            try:
                yield writer
            except BaseException:
                with contextlib.suppress(OSError):
                    writer.close()  # left open, it would write again when it is collected
                raise
            writer.close()
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _create(path: Path) -> None:
    with output_errors(path):
        try:
            path.open("xb").close()
        except FileExistsError as error:
            raise OutputError(
                f"'{path}' exists already, and nearfar never writes in place; write a new file and commit it"
            ) from error


def _open_writer(stream: pa.NativeFile, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        stream,
        schema,
        compression="zstd",
        compression_level=3,
        use_dictionary=False,  # measured: smaller and twice as fast on uids, scores and captions
        write_page_checksum=True,
        version="2.6",
        data_page_version="1.0",
    )


def _fitted(batch: pa.Table | pa.RecordBatch, schema: pa.Schema, path: Path) -> pa.Table:
    missing = [name for name in schema.names if name not in batch.schema.names]
    if missing:
        raise ShapeError(
            f"cannot write '{path}': the rows have no column {', '.join(map(repr, missing))}; "
            f"they have: {', '.join(batch.schema.names)}"
        )
    table = batch if isinstance(batch, pa.Table) else pa.Table.from_batches([batch])
    table = table.select(schema.names).replace_schema_metadata(None)
    if table.schema.equals(schema, check_metadata=True):
        return table
    try:
        return table.cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        raise ShapeError(f"cannot write '{path}': a column does not fit its type: {error}") from error


def _without_metadata(schema: pa.Schema) -> pa.Schema:
    return pa.schema([_plain_field(field) for field in schema])


def _plain_field(field: pa.Field) -> pa.Field:
    kind = field.type
    if pa.types.is_struct(kind):
        kind = pa.struct([_plain_field(kind.field(i)) for i in range(kind.num_fields)])
    return pa.field(field.name, kind, field.nullable)


@contextlib.contextmanager
def opened_parquet(path: Path, columns: Sequence[str] | None = None) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file that is to have some columns; its page checksums are verified.

    Raises:
        DataError: As `read_parquet`, and so where what is read in the block is damaged.
    """
    try:
        with arrow_source(path) as source, pq.ParquetFile(source, page_checksum_verification=True) as file:
            _require(file.schema_arrow, columns, path)
            yield file
    except FileNotFoundError as error:
        raise DataError(f"'{path}' does not exist; put it back, or correct the path") from error
    except PermissionError as error:
        raise DataError(f"'{path}' cannot be read: permission denied; make it readable") from error
    except UnicodeEncodeError as error:
        raise DataError(
            f"the path {str(path)!a} is not UTF-8, so that Arrow cannot open it; rename the file, or its folder"
        ) from error
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"'{path}' is not a whole Parquet file (truncated, damaged, or of another format): "
            f"{_one_line(error)}. Fetch or make this file again"
        ) from error


def _require(schema: pa.Schema, columns: Sequence[str] | None, path: Path) -> None:
    missing = [name for name in columns or () if name not in schema.names]
    if missing:
        raise DataError(
            f"'{path}' has no column {', '.join(map(repr, missing))}; it has: {', '.join(schema.names)}"
        )


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300].rstrip(".")
