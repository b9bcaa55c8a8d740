"""Numbers of classes that an export writes as `.cls`, from a column of the split's files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import layout
from pipeline.execution.context import RunContext, paths
from pipeline.files.parquet import parquet_schema, read_batches


def columns_there(run: RunContext, split: str) -> pa.Schema:
    """Read which columns the files of a split have."""
    part = paths([run.record("split", split)], layout.split(split, "part-"))[0]
    return parquet_schema(run.path(part))


def class_numbers(files: Sequence[str], name: str, uids: pa.ChunkedArray) -> pa.Array:
    """Look up the class of samples, NULL where it has none.

    Args:
        files: The split's files.
        name: The column, as `check_class_column` (pipeline/webdataset) found it.
        uids: `(n,)` the samples.

    Returns:
        `(n,)` int64.
    """
    column, _, field = name.partition(".")
    known: list[pa.Array] = [pa.array([], pa.string())]
    numbers: list[pa.Array] = [pa.array([], pa.int64())]
    for file in files:
        for batch in read_batches(Path(file), ["uid", column]):
            found = batch.column(column)
            found = pc.struct_field(found, field) if field else found
            wanted = pc.is_in(batch.column("uid"), value_set=uids.combine_chunks())
            known.append(batch.column("uid").filter(wanted))
            numbers.append(found.filter(wanted).cast(pa.int64()))
    place = pc.index_in(uids, value_set=pa.concat_arrays(known))
    return pa.concat_arrays(numbers).take(pa.array(place.to_numpy().astype(np.int64)))
