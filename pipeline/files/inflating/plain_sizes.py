"""What rows take in memory once they are plain: Arrow may hold numbers where texts are meant."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

_LISTS = (pa.ListArray, pa.LargeListArray, pa.FixedSizeListArray)


def plain_bytes(batch: pa.RecordBatch) -> int:
    """Bytes of a batch once what numbers values of a dictionary is those values."""
    return int(batch.nbytes) + sum(map(stood_for, batch.columns))


def stood_for(column: pa.Array) -> int:
    """Bytes of texts that a column has numbers for, in lists and structs too."""
    kind = column.type
    if pa.types.is_dictionary(kind) and _is_text(kind.value_type):
        return pc.sum(pc.binary_length(column.dictionary).take(column.indices)).as_py() or 0
    if pa.types.is_struct(kind):
        return sum(map(stood_for, column.flatten()))
    if pa.types.is_map(kind):
        return stood_for(column.keys) + stood_for(column.items)
    return stood_for(column.flatten()) if isinstance(column, _LISTS) else 0


def _is_text(kind: pa.DataType) -> bool:
    return kind in (pa.string(), pa.large_string(), pa.binary(), pa.large_binary())
