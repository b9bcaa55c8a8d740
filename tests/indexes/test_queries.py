from __future__ import annotations

import numpy as np
import pytest
from vector_worlds import clustered

from indexes.errors import DataError, ShapeError
from indexes.queries import Queries

VECTORS = clustered(1, 6, 8)


def build(**change: object) -> Queries:
    parts = {
        "vectors": VECTORS,
        "names": ("a", "b"),
        "starts": np.array([0, 2, 6], np.int64),
        "thresholds": np.linspace(0, 1, 6),
    }
    return Queries(**(parts | change))


def test_positions_are_counted_from_the_start_of_the_segment() -> None:
    assert build().positions(np.array([[1, 5], [0, 2]])).tolist() == [[1, 3], [0, 0]]
    assert build().width == 8


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"vectors": VECTORS.astype(np.float32)}, ShapeError, "float32"),
        ({"vectors": VECTORS[0]}, ShapeError, "shape"),
        ({"vectors": VECTORS[:, :0]}, ShapeError, "width 0"),
        ({"vectors": VECTORS * np.float16(6)}, DataError, "query 0 has norm"),
        ({"starts": np.array([0, 6])}, ShapeError, "boundaries"),
        ({"starts": np.array([0, 2, 5])}, ShapeError, "boundaries"),
        ({"starts": np.array([0, 6, 6])}, DataError, "benchmark 'b' has no queries"),
        ({"thresholds": np.zeros(5)}, ShapeError, "thresholds"),
        ({"thresholds": np.array([0, 0, 0, np.nan, 0, 0])}, DataError, "threshold of query 3 is nan"),
        ({"names": (), "starts": np.array([0])}, ShapeError, "boundaries"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build(**change)
