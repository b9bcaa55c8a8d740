from __future__ import annotations

import numpy as np
import pytest
from vector_worlds import clustered

from indexes.canonical import REASONS, UNIT_TOLERANCE, canonical
from indexes.errors import DataError, ShapeError


def test_unit_float16_rows_keep_their_bits_without_a_copy() -> None:
    block = clustered(1, 50, 64)
    found = canonical(block)
    assert np.shares_memory(found.vectors, block)
    assert found.healthy.all()
    assert found.normalised == 0


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_rows_just_inside_the_tolerance_are_only_cast(dtype: type) -> None:
    block = np.zeros((4, 8), dtype)
    block[:, 0] = [1 - 0.9 * UNIT_TOLERANCE, 1 + 0.9 * UNIT_TOLERANCE, 1 - 1.6 * UNIT_TOLERANCE, 1.01]
    before = block.copy()
    found = canonical(block)
    np.testing.assert_array_equal(found.vectors[:2, 0], block[:2, 0].astype(np.float16))
    np.testing.assert_array_equal(found.vectors[2:, 0], [1, 1])
    assert found.normalised == 2
    np.testing.assert_array_equal(block, before)


@pytest.mark.parametrize(
    ("dtype", "scales"),
    [
        (np.float16, [100.0, 0.01]),
        (np.float32, [1e30, 1e-5, 3e37]),
        (np.float64, [1e300, 1e-5, 1e38, 1e155]),
    ],
)
def test_huge_and_tiny_rows_are_normalised(dtype: type, scales: list[float]) -> None:
    direction = np.random.default_rng(1).normal(size=64)
    direction /= np.linalg.norm(direction)
    found = canonical(np.stack([direction * scale for scale in scales]).astype(dtype))
    assert found.normalised == len(scales)
    for row in found.vectors:
        np.testing.assert_allclose(row.astype(np.float64), direction, atol=3e-4)


def test_reasons_and_order() -> None:
    block = clustered(1, 7, 16).astype(np.float32)
    block[1, 3] = np.nan
    block[2, 3] = np.inf
    block[3] = 0
    block[4] = 1e-8
    block[5, 0], block[5, 1] = np.nan, -np.inf
    found = canonical(block)
    assert [REASONS[code] for code in found.reasons] == ["", "nan", "infinite", "zero", "zero", "nan", ""]
    assert found.healthy.tolist() == [True, False, False, False, False, False, True]
    np.testing.assert_array_equal(found.vectors, block[[0, 6]].astype(np.float16))


def test_empty_block_and_float16_overflow_after_normalising() -> None:
    assert canonical(np.zeros((0, 8), np.float32)).vectors.shape == (0, 8)
    long = np.full((1, 4), 60000, np.float16)
    np.testing.assert_array_equal(canonical(long).vectors, np.full((1, 4), 0.5, np.float16))


def test_many_rows_agree_with_one_at_a_time() -> None:
    block = (clustered(1, 20_000, 8).astype(np.float32)) * np.linspace(0.9, 1.1, 20_000, dtype=np.float32)[
        :, None
    ]
    found = canonical(block)
    for row in (0, 8191, 8192, 19_999):
        np.testing.assert_array_equal(found.vectors[row], canonical(block[row : row + 1]).vectors[0])


def test_wrong_shapes_and_types() -> None:
    with pytest.raises(ShapeError, match="shape"):
        canonical(np.zeros(5, np.float32))
    with pytest.raises(DataError, match="int64"):
        canonical(np.zeros((5, 2), np.int64))
