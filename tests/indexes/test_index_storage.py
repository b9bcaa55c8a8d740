from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from vector_worlds import clustered

from indexes.errors import DataError, ShapeError
from indexes.storage import load_index, save_index


def test_round_trip_keeps_every_bit(tmp_path: Path) -> None:
    vectors = clustered(1, 30, 16)
    vectors[0, 0], vectors[0, 1] = 6e-8, -0.0
    save_index(vectors, tmp_path / "index.faiss")
    np.testing.assert_array_equal(
        load_index(tmp_path / "index.faiss").view(np.uint16), vectors.view(np.uint16)
    )


def test_plain_faiss_opens_and_searches_it(tmp_path: Path) -> None:
    import faiss

    vectors = clustered(1, 30, 16)
    save_index(vectors, tmp_path / "index.faiss")
    index = faiss.read_index(str(tmp_path / "index.faiss"))
    assert type(index) is faiss.IndexFlatIP
    _, found = index.search(vectors.astype(np.float32), 1)
    assert found[:, 0].tolist() == list(range(30))


def test_what_is_no_index_of_ours(tmp_path: Path) -> None:
    import faiss

    path = tmp_path / "index.faiss"
    with pytest.raises(DataError, match="cannot read"):
        load_index(path)
    path.write_bytes(b"")
    with pytest.raises(DataError, match="cannot read"):
        load_index(path)
    save_index(clustered(1, 30, 16), path)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(DataError, match="cannot read"):
        load_index(path)
    faiss.write_index(faiss.IndexFlatL2(4), str(path))
    with pytest.raises(DataError, match="IndexFlatL2"):
        load_index(path)
    wide = faiss.IndexFlatIP(2)
    wide.add(np.array([[1e-3, 0.1]], np.float32))
    faiss.write_index(wide, str(path))
    with pytest.raises(DataError, match="float16 cannot"):
        load_index(path)


def test_nothing_to_save(tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match="at least one"):
        save_index(np.zeros((0, 4), np.float16), tmp_path / "index.faiss")
