"""On a CUDA device: the fused kernel against plain torch, and the whole backend against float64."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "indexes"))

from vector_worlds import clustered, packed, truth, uids_of

from indexes.scanner import ScanOptions
from indexes.search import open_scanner

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def _needs_cuda() -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")


@pytest.mark.parametrize("width", [32, 65, 512, 640])
def test_fused_kernel_is_within_the_bound_of_plain_torch(width: int) -> None:
    import torch

    from indexes.group_maxima import columns_of, device_error_bound, plain_maxima
    from indexes.triton_tile import tile_maxima

    columns = columns_of(packed((1000, 37, 500), clustered(1, 1537, width), True), "cuda")
    samples = torch.from_numpy(clustered(2, 1111, width)).cuda()
    for one, other in zip(tile_maxima(samples, columns), plain_maxima(samples, columns), strict=True):
        assert (one - other).abs().max() <= 2 * device_error_bound(1.01, 1.01, width, 1.0)


@pytest.mark.parametrize("width", [64, 512])
def test_decisions_equal_float64(width: int) -> None:
    queries = packed((300, 401), clustered(1, 701, width), True)
    samples, uids = clustered(2, 3000, width), uids_of(3, 3000)
    scanner = open_scanner(queries, "torch", ScanOptions(k=5, device="cuda"))
    scores = [scanner.scan(samples[a:b], uids[a:b]) for a, b in ((0, 1), (1, 1700), (1700, 3000))]
    right = truth(queries, samples, uids, 5)
    for name in ("similarity", "nearest", "margin", "margin_query"):
        np.testing.assert_array_equal(
            np.concatenate([getattr(s, name) for s in scores]), getattr(right, name)
        )
    expected = [[-s for s, _, _ in ranked] for ranked in right.neighbours]
    np.testing.assert_array_equal(scanner.neighbours().similarity, expected)
