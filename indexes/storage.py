"""Queries on disk as a FAISS index that any FAISS user can open."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexes.errors import DataError, ShapeError


def save_index(vectors: NDArray[np.float16], path: Path) -> None:
    """Write `(q, d)` float16 vectors as an `IndexFlatIP`; float32 holds float16 values exactly.

    Raises:
        ShapeError: If there are no vectors.
    """
    import faiss

    if vectors.ndim != 2 or 0 in vectors.shape:
        raise ShapeError(f"an index needs at least one vector, got an array of shape {vectors.shape}")
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(np.ascontiguousarray(vectors, dtype=np.float32))
    path.write_bytes(faiss.serialize_index(index).tobytes())


def load_index(path: Path) -> NDArray[np.float16]:
    """Read the vectors back, bit for bit.

    Raises:
        DataError: If the file is no flat inner-product index of float16 values.
    """
    import faiss

    try:
        index = faiss.deserialize_index(np.frombuffer(path.read_bytes(), np.uint8))
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"cannot read {path} as a FAISS index ({_first_line(error)}); build it again"
        ) from error
    if not isinstance(index, faiss.IndexFlat) or index.metric_type != faiss.METRIC_INNER_PRODUCT:
        raise DataError(f"{path} holds a {type(index).__name__}; expected an IndexFlatIP. Build it again")
    wide = index.reconstruct_n(0, index.ntotal)
    narrow: NDArray[np.float16] = wide.astype(np.float16)
    if not np.array_equal(narrow, wide):
        raise DataError(
            f"{path} holds values that float16 cannot; it was not written by nearfar. Build it again"
        )
    return narrow


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
