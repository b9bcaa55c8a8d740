"""The GPU path without a GPU: the fused kernel in Triton's interpreter against plain torch; full memory."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import nullcontext
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
from indexes.device.query_columns import columns_of
from indexes.device.group_maxima import device_error_bound, member
from indexes.device.plain_tile import plain_maxima, plain_scores
from indexes.device.triton_tile import Shape, exact_values, tile_maxima

for rows, sizes, width in ((70, (40, 57, 3), 40), (1, (5,), 16), (130, (64, 129), 33)):
    queries = packed(sizes, clustered(1, sum(sizes), width), True)
    samples, columns = torch.from_numpy(clustered(2, rows, width)), columns_of(queries, "cpu")
    scores = plain_scores(samples, columns.vectors)
    cut, bound = scores.quantile(0.8, dim=0), device_error_bound(1.01, 1.01, width, 1.0)
    plain, edge = plain_maxima(samples, columns, cut), (scores - cut).abs() <= bound
    for shape in (Shape(64, 64, 16, 1, 1), Shape(64, 128, 32, 1, 1)):
        fused = tile_maxima(samples, columns, cut, shape)
        for found, expected in zip(fused[:2], plain[:2]):
            assert found.shape == expected.shape
            there = expected > -1e29
            assert torch.equal(there, found > -1e29)
            assert (found - expected)[there].abs().max() <= bound
            clear = there[0] & ((expected[0] - expected[1]) > 2 * bound)
            assert clear.any() and torch.equal(member(found[0])[clear], member(expected[0])[clear])
        one, other = (((near[:, :, None] >> torch.arange(32)) & 1).flatten(1) for near in (fused.near, plain.near))
        assert other.any() and torch.equal(one[~edge], other[~edge])
    random = np.random.default_rng(0)
    left, right = (random.integers(0, high, 37) for high in (rows, len(columns.vectors)))
    found = exact_values(samples, columns.vectors, torch.from_numpy(left), torch.from_numpy(right)).numpy()
    wide = samples.double().numpy(), columns.vectors.double().numpy()
    assert np.array_equal(found, np.einsum("ij,ij->i", wide[0][left], wide[1][right]))
print("equal")
"""


def test_fused_kernels_equal_plain_torch_in_the_interpreter() -> None:
    pytest.importorskip("triton", reason="triton is not installed here; it comes with CUDA builds of torch")
    path = os.pathsep.join([str(Path(__file__).parents[2]), str(Path(__file__).parents[1] / "worlds")])
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-c", INTERPRETED], capture_output=True, text=True, env=environment
    )
    assert done.stdout.strip() == "equal", done.stderr


COMPILED = """
import sys, triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from indexes.device import triton_tile
from indexes.device.query_columns import GROUP, NOTHING, WORD

def compiled(kernel, kinds, constants, **options):
    names = kernel.arg_names
    signature = {name: "constexpr" if name in constants else kinds[name] for name in names}
    places = {(names.index(name),): value for name, value in constants.items()}
    aligned = [name for name in names if kinds.get(name, "*").startswith("*") or name in ("columns", "width")]
    marks = {(names.index(n),): [["tt.divisibility", 16]] for n in aligned if n not in constants}
    source = ASTSource(fn=kernel, signature=signature, constexprs=places, attrs=marks)
    return triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)

half, single = "*fp16", "*fp32"
kinds = {"samples": half, "queries": half, "levels": single, "cuts": single, "similarity": single}
kinds |= {"margin": single, "near": "*i32", "rows": "i32", "columns": "i32", "width": "i32"}
shape = triton_tile.SHAPES[2]
constants = dict(ROWS=shape.rows, COLUMNS=shape.columns, WIDTH=shape.width, SIZE=GROUP, BITS=WORD)
constants |= dict(NEIGHBOURS=triton_tile.BAND, LOWEST=NOTHING)
tile = compiled(triton_tile._tile, kinds, constants, num_warps=shape.warps, num_stages=shape.stages)
kinds |= {"rows": "*i64", "columns": "*i64", "out": "*fp64", "count": "i32"}
pairs = compiled(triton_tile._pairs, kinds, dict(SIZE=triton_tile.PAIRS, CHUNK=triton_tile.CHUNK))
assert "wgmma.mma_async" in tile.asm["ptx"]
assert tile.metadata.shared < 227 << 10
assert "ld.local" not in tile.asm["ptx"] and "add.f64" in pairs.asm["ptx"].replace("add.rn.f64", "add.f64")
print("compiled")
"""


def test_a_kernel_starts_on_the_card_that_has_its_arrays() -> None:
    """Triton would start it on torch's current card, which need not be the one that a plan names."""
    pytest.importorskip("triton", reason="triton is not installed here; it comes with CUDA builds of torch")
    import torch

    from indexes.device.triton_tile import current

    chosen = current(torch.device("cuda:1"))
    assert isinstance(chosen, torch.cuda.device)
    assert chosen.idx == 1
    with current(torch.device("cpu")):
        pass


def test_the_kernels_compile_for_a_card_that_is_not_here() -> None:
    pytest.importorskip("triton", reason="triton is not installed here; it comes with CUDA builds of torch")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", COMPILED], capture_output=True, text=True, env=environment)
    assert done.stdout.strip() == "compiled", done.stderr


def test_out_of_memory_halves_the_block_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from indexes.backends import torch as backend

    limit, asked, real = 100, [], backend.fused_maxima

    def small_device(block, *others):
        asked.append(len(block))
        if len(block) > limit:
            raise torch.OutOfMemoryError("out of memory")
        return real(block, *others)

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
    with pytest.raises(RunFailedError, match="no memory left for 64 samples"):
        scanner.scan(samples, uids)


def test_each_block_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    from indexes.backends import torch as backend

    seen = []

    def watched(device, doing):
        seen.append((device, doing))
        return nullcontext()

    monkeypatch.setattr(backend, "watched", watched)
    scanner = open_scanner(packed((3,), clustered(1, 3, 24), False), "torch", ScanOptions(device="cpu"))
    scanner.scan(clustered(2, 4, 24), uids_of(1, 4))
    assert seen == [("cpu", "comparing 4 samples")]


def test_out_of_memory_late_in_a_block_offers_no_pair_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from indexes.backends import torch as backend

    real, failures = backend.near_pairs, [True]

    def failing(*arguments):
        yield from real(*arguments)
        if failures:
            failures.clear()
            raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(backend, "near_pairs", failing)
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

    from indexes.cpu.engine import ExactScanner
    from indexes.device import choice

    queries = packed((5,), clustered(1, 5, 16), False)
    assert isinstance(open_scanner(queries, "exact"), ExactScanner)
    monkeypatch.setattr(choice, "_DRIVER", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert isinstance(open_scanner(queries, "exact"), ExactScanner)
    with pytest.raises(BadInputError, match="torch sees no CUDA device"):
        open_scanner(queries, "exact", ScanOptions(device="cuda"))
