"""Queries on disk as a FAISS index that any FAISS user can open, and `index.json`, which says what it is."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.errors import DataError, ShapeError
from indexes.faiss_library import load_faiss

VERSION = 1
AGAIN = "Remove {folder} and run again: it is built again"
MADE_BY = {"version": "version of nearfar", "encoder": "encoder", "width": "encoder", "metric": "program"}


@dataclass(frozen=True, slots=True)
class Description:
    """What `index.json` says of the index beside it.

    Attributes:
        benchmark: Name of the benchmark.
        queries: Number of vectors.
        width: Numbers in each.
        encoder: Fingerprint of the encoder that made them; None where nobody wrote it down.
        version: Version of the layout.
        metric: What is compared.
    """

    benchmark: str
    queries: int
    width: int
    encoder: dict[str, Any] | None
    version: int = VERSION
    metric: str = "inner product of unit float16 vectors"

    def dumps(self) -> str:
        """Write the JSON."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"

    @staticmethod
    def loads(text: str) -> Description:
        """Read what `dumps` wrote."""
        return Description(**json.loads(text))


def check_description(path: Path, expected: Description) -> None:
    """Refuse an index that another version, encoder or benchmark saved, by its `index.json`.

    Raises:
        DataError: If `path` cannot be read or describes another index; the message says how they differ.
    """
    again = AGAIN.format(folder=path.parent)
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(
            f"cannot read {path}, which describes an index ({_first_line(error)}). {again}"
        ) from error
    got = found if isinstance(found, dict) else {}
    for key in ("version", "encoder", "width", "queries", "metric", "benchmark"):
        wanted = getattr(expected, key)
        if key not in got or got[key] != wanted:
            raise DataError(
                f"{path} describes a saved index with {key} {_differing(got.get(key), wanted)}, expected "
                f"{_differing(wanted, got.get(key))}: another {MADE_BY.get(key, 'benchmark')} made it. {again}"
            )


def _differing(one: Any, other: Any) -> str:
    """Show what one value has and the other has not."""
    if isinstance(one, dict) and isinstance(other, dict):
        one = {key: value for key, value in sorted(one.items()) if key not in other or other[key] != value}
    text = json.dumps(one, sort_keys=True)
    return text if len(text) <= 200 else text[:197] + "..."


def save_index(vectors: NDArray[np.float16], path: Path) -> None:
    """Write `(q, d)` float16 vectors as an `IndexFlatIP`; float32 holds float16 values exactly.

    Raises:
        ShapeError: If there are no vectors.
    """
    faiss = load_faiss()

    if vectors.ndim != 2 or 0 in vectors.shape:
        raise ShapeError(f"an index needs at least one vector, got an array of shape {vectors.shape}")
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(np.ascontiguousarray(vectors, dtype=np.float32))
    path.write_bytes(faiss.serialize_index(index).tobytes())


def load_index(path: Path, expected: Description | None = None) -> NDArray[np.float16]:
    """Read the vectors back, bit for bit.

    Raises:
        DataError: If the file is no flat inner-product index of float16 values.
        ShapeError: If they are not as many, or as wide, as `expected` says.
    """
    faiss = load_faiss()

    try:
        index = faiss.deserialize_index(np.frombuffer(path.read_bytes(), np.uint8))
    except (OSError, RuntimeError, MemoryError) as error:
        raise DataError(
            f"cannot read {path} as a FAISS index ({_first_line(error)}); build it again"
        ) from error
    if not isinstance(index, faiss.IndexFlat) or index.metric_type != faiss.METRIC_INNER_PRODUCT:
        raise DataError(f"{path} holds a {type(index).__name__}; expected an IndexFlatIP. Build it again")
    if expected is not None and (index.ntotal, index.d) != (expected.queries, expected.width):
        raise ShapeError(
            f"{path} holds {index.ntotal} vectors of width {index.d}, expected {expected.queries} of width "
            f"{expected.width}: it was saved from other vectors. {AGAIN.format(folder=path.parent)}"
        )
    wide = index.reconstruct_n(0, index.ntotal)
    with np.errstate(over="ignore", invalid="ignore"):
        narrow: NDArray[np.float16] = wide.astype(np.float16)
    if not np.array_equal(narrow, wide):
        raise DataError(
            f"{path} holds values that float16 cannot; it was not written by nearfar. Build it again"
        )
    return narrow


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
