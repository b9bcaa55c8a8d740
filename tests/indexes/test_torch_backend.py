"""The GPU path without a GPU: the fused kernel in Triton's interpreter against plain torch; full memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from vector_worlds import clustered, packed, truth, uids_of

from indexes.errors import BadInputError, RunFailedError
from indexes.queries import Queries
from indexes.scanner import ScanOptions
from indexes.search import open_scanner

INTERPRETED = """
import numpy as np, torch
from vector_worlds import clustered, packed
from indexes import triton_tile
from indexes.group_maxima import columns_of, device_error_bound, plain_maxima

triton_tile.BLOCK_ROWS, triton_tile.BLOCK_COLUMNS, triton_tile.BLOCK_WIDTH = 32, 64, 16
for rows, sizes, width in ((70, (40, 57, 3), 40), (1, (5,), 16), (33, (64, 64), 33)):
    queries = packed(sizes, clustered(1, sum(sizes), width), True)
    samples, columns = torch.from_numpy(clustered(2, rows, width)), columns_of(queries, "cpu")
    fused, plain = triton_tile.tile_maxima(samples, columns), plain_maxima(samples, columns)
    for one, other in zip(fused, plain):
        assert one.shape == other.shape
        assert (one - other).abs().max() <= device_error_bound(1.01, 1.01, width, 1.0)
print("equal")
"""


def test_fused_kernel_equals_plain_torch_in_the_interpreter() -> None:
    pytest.importorskip("triton", reason="triton is not installed here; it comes with CUDA builds of torch")
    path = os.pathsep.join([str(Path(__file__).parents[2]), str(Path(__file__).parent)])
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-c", INTERPRETED], capture_output=True, text=True, env=environment
    )
    assert done.stdout.strip() == "equal", done.stderr


def test_out_of_memory_halves_the_block_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from indexes.backends import torch as backend

    limit, asked, real = 100, [], backend.fused_maxima

    def small_device(block, columns):
        asked.append(len(block))
        if len(block) > limit:
            raise torch.OutOfMemoryError("out of memory")
        return real(block, columns)

    monkeypatch.setattr(backend, "fused_maxima", small_device)
    queries, samples, uids = (
        packed((30, 5), clustered(1, 35, 24), True),
        clustered(2, 400, 24),
        uids_of(1, 400),
    )
    scanner = open_scanner(queries, "torch", ScanOptions(k=3, device="cpu"))
    scores, right = scanner.scan(samples, uids), truth(queries, samples, uids, 3)
    assert max(asked) > limit >= asked[-1]
    np.testing.assert_array_equal(scores.margin, right.margin)
    np.testing.assert_array_equal(
        scanner.neighbours().similarity, [[-s for s, _, _ in r] for r in right.neighbours]
    )
    limit = 0
    with pytest.raises(RunFailedError, match="no memory left for 16 samples"):
        scanner.scan(samples, uids)


def test_out_of_memory_late_in_a_block_offers_no_pair_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from indexes.backends import torch as backend

    real, failures = backend.offers_of, [True]

    def failing(*arguments):
        yield from real(*arguments)
        if failures:
            failures.clear()
            raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(backend, "offers_of", failing)
    queries, samples, uids = (
        packed((30,), clustered(1, 30, 24), False),
        clustered(2, 200, 24),
        uids_of(1, 200),
    )
    scanner = open_scanner(queries, "torch", ScanOptions(k=50, device="cpu"))
    scanner.scan(samples, uids)
    expected = [[-s for s, _, _ in ranked] for ranked in truth(queries, samples, uids, 50).neighbours]
    np.testing.assert_array_equal(scanner.neighbours().similarity, expected)


def test_cuda_where_there_is_none() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    vectors = clustered(1, 3, 8)
    with pytest.raises(BadInputError, match="torch sees no CUDA device"):
        open_scanner(Queries(vectors, ("a",), np.array([0, 3]), None), "torch", ScanOptions(device="cuda:0"))


def test_exact_goes_to_the_gpu_only_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import torch

    from indexes.backends import exact
    from indexes.engine import ExactScanner

    queries = packed((5,), clustered(1, 5, 16), False)
    assert isinstance(open_scanner(queries, "exact"), ExactScanner)
    monkeypatch.setattr(exact, "_DRIVER", tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert isinstance(open_scanner(queries, "exact"), ExactScanner)
    with pytest.raises(BadInputError, match="torch sees no CUDA device"):
        open_scanner(queries, "exact", ScanOptions(device="cuda"))
