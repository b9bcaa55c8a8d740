"""Moments that no order changes, and spectra against numpy over the rows themselves."""

from __future__ import annotations

import numpy as np
import pytest

from curation.kernels.exact_moments import Moments
from curation.kernels.singular_spectrum import RANK, spectrum_of_cross, spectrum_of_rows, uniformity
from indexes.canonical import canonical


def rows(count: int = 300, width: int = 24, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    wide = rng.standard_normal((count, width)) * np.geomspace(1, 0.01, width) + 0.5
    return canonical(wide.astype(np.float32)).vectors


def summed(vectors: np.ndarray, cuts: list[int]) -> Moments:
    """Sums of each piece, merged."""
    found = Moments(vectors.shape[1])
    for piece in np.split(vectors, cuts):
        own = Moments(vectors.shape[1])
        own.add(piece)
        found.merge(own.arrays())
    return found


def test_neither_order_nor_parts_change_a_bit() -> None:
    vectors = rows()
    whole = summed(vectors, [])
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(vectors))
        cut = summed(vectors[order], [1, 90, 90, 250])
        assert cut.count == len(vectors)
        np.testing.assert_array_equal(cut.second(), whole.second())
        np.testing.assert_array_equal(cut.covariance(), whole.covariance())
    wide = vectors.astype(np.float64)
    np.testing.assert_allclose(whole.second(), wide.T @ wide / len(wide), rtol=1e-13)
    np.testing.assert_allclose(whole.covariance(), np.cov(wide.T, bias=True), atol=1e-15)


def test_a_spectrum_is_that_of_the_centred_rows() -> None:
    vectors = rows()
    wide = vectors.astype(np.float64)
    found = spectrum_of_rows(summed(vectors, [10]).covariance())
    truth = np.linalg.svd(wide - wide.mean(axis=0), compute_uv=False) / np.sqrt(len(wide))
    np.testing.assert_allclose(found.values, truth, rtol=1e-8)
    assert (found.rank, found.r) == (24, 24)
    assert found.condition == pytest.approx(truth[0] / truth[-1], rel=1e-7)
    shares = truth / truth.sum()
    assert found.effective_rank == pytest.approx(np.exp(-(shares * np.log(shares)).sum()), rel=1e-8)


def test_directions_that_are_not_there_have_no_value() -> None:
    vectors = rows(width=80)
    flat = np.concatenate([vectors[:, :8], np.zeros((len(vectors), 72), np.float16)], axis=1)
    found = spectrum_of_rows(summed(flat, []).covariance())
    assert found.rank == found.r == 8
    assert not found.values[8:].any()
    assert spectrum_of_rows(summed(rows(width=80), []).covariance()).r == RANK
    equal = spectrum_of_rows(summed(np.repeat(vectors[:1], 5, axis=0), []).covariance())
    assert (equal.rank, equal.effective_rank, equal.condition) == (0, 0.0, None)


def test_equal_values_have_the_effective_rank_of_their_number() -> None:
    found = spectrum_of_rows(np.eye(6) / 6)
    assert found.effective_rank == pytest.approx(6)
    assert found.condition == 1.0


def test_a_cross_spectrum_is_that_of_the_centred_products() -> None:
    image, text = rows(), rows(seed=1)
    both = np.concatenate([image, text], axis=1)
    found = spectrum_of_cross(summed(both, [7]).covariance()[:24, 24:])
    x, y = (one.astype(np.float64) - one.astype(np.float64).mean(axis=0) for one in (image, text))
    truth = np.linalg.svd(x.T @ y / len(x), compute_uv=False)
    np.testing.assert_allclose(found.values, truth, rtol=1e-6, atol=1e-12)


def test_uniformity_is_over_all_pairs() -> None:
    wide = rows(40).astype(np.float64)
    apart = ((wide[:, None] - wide[None]) ** 2).sum(axis=2)[np.triu_indices(40, 1)]
    assert uniformity(rows(40)) == pytest.approx(np.log(np.exp(-2 * apart).mean()), rel=1e-12)
    assert uniformity(rows(1)) is None
