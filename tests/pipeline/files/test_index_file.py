from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from vector_worlds import clustered

from indexes.errors import DataError, ShapeError
from pipeline.files.index_file import Description, check_description, load_index, save_index


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


def test_values_that_overflow_float16_are_refused_without_a_warning(tmp_path: Path) -> None:
    import faiss

    wide = faiss.IndexFlatIP(2)
    wide.add(np.array([[1e6, np.nan]], np.float32))
    faiss.write_index(wide, str(tmp_path / "index.faiss"))
    with pytest.raises(DataError, match="float16 cannot"):
        load_index(tmp_path / "index.faiss")


ENCODER = {"model": "ViT-B-32", "weights": "a1", "preprocessing": "p"}
OURS = Description("one", 30, 16, ENCODER)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"version": 2}, "version 2, expected 1: another version of nearfar"),
        (
            {"encoder": ENCODER | {"weights": "b2"}},
            'encoder {"weights": "b2"}, expected {"weights": "a1"}: another',
        ),
        ({"encoder": None}, "encoder null, expected {"),
        ({"width": 8}, "width 8, expected 16: another encoder"),
        ({"queries": 31}, "queries 31, expected 30: another benchmark"),
        ({"metric": "L2"}, 'metric "L2", expected "inner'),
        ({"benchmark": "two"}, 'benchmark "two", expected "one"'),
        ({"encoder": {"model": "x" * 9999}}, "..."),
    ],
)
def test_an_index_of_another_encoder_or_version_is_refused(
    tmp_path: Path, changed: dict[str, object], words: str
) -> None:
    path = tmp_path / "index.json"
    path.write_text(OURS.dumps())
    check_description(path, OURS)
    path.write_text(json.dumps(json.loads(OURS.dumps()) | changed))
    with pytest.raises(DataError) as error:
        check_description(path, OURS)
    assert words in str(error.value)
    assert str(error.value).endswith(f"Remove {tmp_path} and run again: it is built again")
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe", b"[" * 40, b"[]", b"{}"])
def test_a_description_that_is_none(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "index.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match="run again"):
        check_description(path, OURS)


def test_vectors_of_another_width_or_number_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "index.faiss"
    save_index(clustered(1, 30, 16), path)
    assert load_index(path, OURS).shape == (30, 16)
    for vectors in (clustered(1, 60, 8), clustered(1, 29, 16)):
        save_index(vectors, path)
        with pytest.raises(ShapeError, match=r"holds .* expected 30 of width 16"):
            load_index(path, OURS)
