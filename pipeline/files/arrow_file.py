"""Arrow files of several batches, each of which can be read by itself: what stages hand on in pieces."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from indexes.errors import DataError
from pipeline.files.storage import output_errors


def write_pieces(path: Path, pieces: Iterable[pa.Table], schema: pa.Schema) -> None:
    """Write each table as one batch, an empty one too; nothing is compressed.

    Raises:
        OutputError: If the file cannot be written.
    """
    with output_errors(path), pa.OSFile(str(path), "wb") as stream, pa.ipc.new_file(stream, schema) as writer:
        for piece in pieces:
            batches = piece.cast(schema).combine_chunks().to_batches()
            writer.write_batch(batches[0] if batches else pa.RecordBatch.from_pylist([], schema=schema))


def read_piece(path: str, number: int) -> pa.Table:
    """Read one batch; the others are not touched.

    Raises:
        DataError: If the file is missing or damaged.
    """
    try:
        with pa.memory_map(path) as source, pa.ipc.open_file(source) as reader:
            batch = reader.get_batch(number)
            return pa.table(batch).take(pa.array(range(len(batch)), pa.int64()))
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"'{path}' is not a whole Arrow file ({error}); remove it and run again, which makes it anew"
        ) from error
