"""The parts of the CPU engine: the bound against adversarial vectors, the tile, layouts under a memory limit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
import pytest
from numpy.typing import NDArray
from vector_worlds import clustered, packed, truth, uids_of, unit

from indexes.bound import error_bound
from indexes.cpu.engine import ExactScanner, fit_layout
from indexes.cpu.kernel import compiled, tile_bfloat16, tile_float32, tile_int16
from indexes.cpu.packing import Sizes, aligned, hold, pack, padded_bits, units_of
from indexes.cpu.processor import BFLOAT16, COLUMNS, FLOAT32, HAS_BFLOAT16, HAS_INT16, INT16, ROWS
from indexes.errors import BadInputError, DataError
from indexes.queries import Queries
from indexes.scanner import ScanOptions

FORMS = [FLOAT32, *([BFLOAT16] if HAS_BFLOAT16 else []), *([INT16] if HAS_INT16 else [])]
all_tiles = pytest.mark.parametrize("form", FORMS)


@compiled
def one_tile(places: NDArray[np.int64], form: int, scale: float) -> int:
    left, right, units, cut, level, floor, out = places
    error, by = np.float32(0), np.float32(scale)
    if form == BFLOAT16:
        return tile_bfloat16(left, right, units, cut, level, floor, out, error, by)
    if form == INT16:
        return tile_int16(left, right, units, cut, level, floor, out, error, by)
    return tile_float32(left, right, units, cut, level, floor, out, error, by)


def screened(samples: NDArray[np.float16], vectors: NDArray[np.float16], form: int, cut: float = -np.inf):
    """Products of `ROWS` samples and `COLUMNS` queries as the tile gives them, its answer, and the bound."""
    width = samples.shape[1]
    units = units_of(width, form)
    left, right = aligned((1, units, ROWS)), aligned((1, units, COLUMNS))
    of_samples = Sizes(*pack(padded_bits(samples), np.arange(ROWS, dtype=np.int32), form, left))
    of_queries = Sizes(*pack(padded_bits(vectors), np.arange(COLUMNS, dtype=np.int32), form, right))
    cuts = np.full((2, ROWS), cut, np.float32)
    levels, floors = np.full(COLUMNS, 100, np.float32), np.full(COLUMNS, 100, np.float32)
    out = np.full((ROWS, COLUMNS), np.nan, np.float32)
    arrays = (left, right, cuts, levels, floors, out)
    at = [array.ctypes.data for array in arrays]
    places = np.array([at[0], at[1], units, *at[2:]], np.int64)
    hits = one_tile(places, form, 1 / (of_samples.scale * of_queries.scale))
    return out, hits, error_bound(of_samples, of_queries, width, 1.0)


def adversaries(width: int) -> list[NDArray[np.float16]]:
    """Blocks of rows that round as badly as can be, each long enough for both sides of a tile."""
    random = np.random.default_rng(width)
    rows = max(ROWS, COLUMNS)
    halfway = (1 + 2.0**-8 + 2.0**-10) * random.choice([1.0, -1.0], (rows, width))
    same_sign = np.full((rows, width), 1 + 2.0**-8 - 2.0**-10)
    spiky = random.normal(size=(rows, width)) ** 9
    blocks = [unit(x) for x in (random.normal(size=(rows, width)), halfway, same_sign, spiky)]
    return [*blocks, blocks[0] * np.float16(4), blocks[0] * np.float16(1e-4), np.zeros_like(blocks[0])]


@all_tiles
@pytest.mark.parametrize("width", [1, 7, 64, 513, 1024])
def test_no_screened_score_is_farther_off_than_the_bound(width: int, form: int) -> None:
    blocks = adversaries(width)
    for left in blocks:
        for right in blocks:
            samples, vectors = left[:ROWS], right[:COLUMNS]
            found, _, bound = screened(samples, vectors, form)
            exact = samples.astype(np.float64) @ vectors.astype(np.float64).T
            assert np.abs(found - exact).max() <= bound


@all_tiles
def test_the_bound_is_of_the_size_that_was_promised(form: int) -> None:
    block = adversaries(512)[0]
    _, _, bound = screened(block[:ROWS], block[:COLUMNS], form)
    assert bound < {FLOAT32: 7e-5, BFLOAT16: 0.0045, INT16: 0.0011}[form]


@all_tiles
def test_a_tile_below_its_cuts_answers_nothing_and_stores_nothing(form: int) -> None:
    block = adversaries(64)[0]
    found, hits, _ = screened(block[:ROWS], block[:COLUMNS], form, cut=50.0)
    assert hits == 0
    assert np.isnan(found).all()


def test_filling_columns_repeat_the_last_query_of_their_segment() -> None:
    vectors = clustered(1, COLUMNS + 3, 20)
    held, sizes = hold(packed((COLUMNS + 1, 2), vectors, True), FLOAT32)
    assert held.segment.tolist() == [0, 0, 1]
    assert held.column[: COLUMNS + 1].tolist() == list(range(COLUMNS + 1))
    assert set(held.column[COLUMNS + 1 : 2 * COLUMNS].tolist()) == {COLUMNS}
    assert np.isposinf(held.floor).sum() == 3 * COLUMNS - len(vectors)
    assert sizes.residual == 0
    assert sizes.bad == -1


@pytest.mark.parametrize("limit", [120_000, 400_000, 3_000_000])
@pytest.mark.parametrize("bfloat16", [True, False])
def test_smaller_memory_means_smaller_blocks_and_the_same_answer(limit: int, bfloat16: bool) -> None:
    queries, samples, uids = (
        packed((90, 5), clustered(1, 95, 48), True),
        clustered(2, 800, 48),
        uids_of(1, 800),
    )
    options = ScanOptions(k=4, threads=3, memory_limit=limit, bfloat16=bfloat16)
    layout = fit_layout(queries, options, bfloat16)
    assert layout.bytes(48, bfloat16) <= limit
    scanner = ExactScanner(queries, options)
    scores = scanner.scan(samples, uids)
    right = truth(queries, samples, uids, 4)
    np.testing.assert_array_equal(scores.margin, right.margin)
    np.testing.assert_array_equal(scores.nearest, right.nearest)
    np.testing.assert_array_equal(
        scanner.neighbours().similarity, [[-s for s, _, _ in r] for r in right.neighbours]
    )


def test_layout_takes_fewer_threads_before_it_gives_up() -> None:
    queries = packed((200,), clustered(1, 200, 64), True)
    layouts = []
    with pytest.raises(BadInputError, match="too small"):  # noqa: PT012 - how small depends on the tile
        for limit in range(1_000_000, 0, -10_000):
            layouts.append(fit_layout(queries, ScanOptions(threads=4, memory_limit=limit), FORMS[-1]))
    threads = [layout.threads for layout in layouts]
    assert threads[0] == 4
    assert threads[-1] < 4
    assert threads == sorted(threads, reverse=True)
    assert all(layout.rows % ROWS == 0 < layout.rows for layout in layouts)


def test_one_row_against_many_queries_is_shared_by_the_threads() -> None:
    """Few rows are cut over the queries; what the parts find is merged with ties to the lower query."""
    vectors = np.tile(clustered(1, 500, 32), (4, 1))
    queries = Queries(vectors, ("a",), np.array([0, 2000]), None)
    scores = ExactScanner(queries, ScanOptions(threads=4)).scan(vectors[700:701])
    assert scores.nearest.tolist() == [[200]]


def test_a_bad_row_is_named_wherever_it_is() -> None:
    samples = clustered(2, 3000, 32)
    samples[2345, 31] = np.nan
    with pytest.raises(DataError, match="sample 2345 has norm nan"):
        ExactScanner(packed((9,), clustered(1, 9, 32), True), ScanOptions(threads=2)).scan(samples)


def test_importing_the_package_loads_no_heavy_library() -> None:
    code = (
        "import sys, indexes.search, indexes.canonical, pipeline.files.index_file\n"
        "import indexes.brute, indexes.backends.exact\n"
        "print([m for m in ('torch', 'numba', 'faiss', 'triton') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


OLDER = """
import numpy as np
from vector_worlds import clustered, packed, truth, uids_of
from indexes.cpu.engine import ExactScanner
from indexes.cpu.processor import HAS_BFLOAT16, INT16, LANES, WHOLE
from indexes.greedy.earlier import nearest_earlier
from indexes.greedy.farthest import farthest_first
from indexes.scanner import ScanOptions

assert (HAS_BFLOAT16, LANES, WHOLE) == (False, 8, INT16)
queries, samples, uids = packed((90, 5), clustered(1, 95, 77), True), clustered(2, 800, 77), uids_of(1, 800)
scanner = ExactScanner(queries, ScanOptions(k=4, threads=2))
scores, right = scanner.scan(samples, uids), truth(queries, samples, uids, 4)
for name in ("similarity", "nearest", "margin", "margin_query"):
    np.testing.assert_array_equal(getattr(scores, name), getattr(right, name))
expected = [[-s for s, _, _ in ranked] for ranked in right.neighbours]
np.testing.assert_array_equal(scanner.neighbours().similarity, expected)
products = samples.astype(np.float64) @ samples.astype(np.float64).T
products_of = products[:60, :60].copy()
products[~np.tri(800, k=-1, dtype=bool)] = -np.inf
for level in (-np.inf, 0.8):
    earlier = nearest_earlier(samples, uids, np.arange(800), ScanOptions(device="cpu", threads=2), level)
    there = products.max(axis=1) >= level
    np.testing.assert_array_equal(earlier.similarity, np.where(there, products.max(axis=1), -np.inf))
few = samples[:60]
order, highest = [0], np.full(60, -np.inf)
for _ in range(59):
    highest = np.maximum(highest, products_of[order[-1]])
    highest[order] = np.inf
    order.append(int(highest.argmin()))
in_order = np.stack([np.zeros(60), np.arange(60)], axis=1).astype(np.uint64)
thinned = farthest_first(few, in_order, ScanOptions(device="cpu"))
np.testing.assert_array_equal(np.argsort(thinned.place), order)
print("equal")
"""


@pytest.mark.slow
def test_a_processor_without_avx512_gives_the_same_answers(tmp_path: Path) -> None:
    """Compiled for Haswell by numba's own switches, in a process and a cache of its own."""
    here = dict(llvm.get_host_cpu_features())
    features = ["avx", "avx2", "fma", "f16c", "bmi", "bmi2", "popcnt", "lzcnt", "sse4.2", "ssse3"]
    if not all(here.get(feature) for feature in features):
        pytest.skip("this processor has no AVX2")
    path = os.pathsep.join([str(Path(__file__).parents[2]), str(Path(__file__).parents[1] / "worlds")])
    older = {
        "NUMBA_CPU_NAME": "haswell",
        "NUMBA_CPU_FEATURES": ",".join(f"+{feature}" for feature in features),
    }
    environment = os.environ | older | {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", OLDER], capture_output=True, text=True, env=environment)
    assert done.stdout.strip() == "equal", done.stderr
