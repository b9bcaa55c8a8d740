"""On a CUDA device: the fused kernel against plain torch, and the whole backend against float64."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "worlds"))

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

    from indexes.device.group_maxima import device_error_bound
    from indexes.device.plain_tile import plain_maxima, plain_scores
    from indexes.device.query_columns import columns_of
    from indexes.device.triton_tile import SHAPES, tile_maxima

    columns = columns_of(packed((1000, 37, 500), clustered(1, 1537, width), True), "cuda")
    samples = torch.from_numpy(clustered(2, 1111, width)).cuda()
    scores = plain_scores(samples, columns.vectors)
    cut, bound = scores.quantile(0.9, dim=0), 2 * device_error_bound(1.01, 1.01, width, 1.0)
    plain = plain_maxima(samples, columns, cut)
    wide = samples.double() @ columns.vectors.double().T
    assert (wide - scores).abs().max() <= bound / 2
    clear = (scores - cut).abs() > bound
    words = torch.arange(32, device="cuda")
    for shape in SHAPES:
        fused = tile_maxima(samples, columns, cut, shape)
        for one, other in zip(fused[:2], plain[:2], strict=True):
            assert (one - other).abs().max() <= bound
        one, other = (((near[:, :, None] >> words) & 1).flatten(1) for near in (fused.near, plain.near))
        assert torch.equal(one[clear], other[clear])


def test_exact_values_equal_float64() -> None:
    import torch

    from indexes.device.triton_tile import exact_values

    left, right = (torch.from_numpy(clustered(seed, 500, 513)).cuda() for seed in (1, 2))
    rows, columns = torch.randint(500, (2, 4001), device="cuda")
    expected = (left[rows].double() * right[columns].double()).sum(1)
    assert torch.equal(exact_values(left, right, rows, columns), expected)


@pytest.mark.parametrize("which", ["cuda", "the last one"])
@pytest.mark.parametrize("width", [64, 512])
def test_decisions_equal_float64(width: int, which: str) -> None:
    """On torch's current card, and on the last one by its number: the same where there is one."""
    import torch

    device = which if which == "cuda" else f"cuda:{torch.cuda.device_count() - 1}"
    queries = packed((300, 401), clustered(1, 701, width), True)
    samples, uids = clustered(2, 3000, width), uids_of(3, 3000)
    scanner = open_scanner(queries, "torch", ScanOptions(k=5, device=device))
    scores = [scanner.scan(samples[a:b], uids[a:b]) for a, b in ((0, 1), (1, 1700), (1700, 3000))]
    right = truth(queries, samples, uids, 5)
    for name in ("similarity", "nearest", "margin", "margin_query"):
        np.testing.assert_array_equal(
            np.concatenate([getattr(s, name) for s in scores]), getattr(right, name)
        )
    expected = [[-s for s, _, _ in ranked] for ranked in right.neighbours]
    np.testing.assert_array_equal(scanner.neighbours().similarity, expected)
