"""One suite over every backend in the folder: exact ones equal float64, approximate ones say by how far."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from vector_worlds import clustered, packed, truth, uids_of, unit

from indexes import backends, registry
from indexes.errors import BadInputError, DataError, ShapeError, UnknownNameError
from indexes.queries import Queries
from indexes.scores import Scores
from indexes.search import Scanner, ScanOptions, is_exact, open_scanner

ALL = registry.names(backends)
EXACT = tuple(name for name in ALL if is_exact(name))
FLOAT32 = "exact, no bfloat16"
"""The exact engine as it runs on a processor without bfloat16."""

DEFAULTS = ScanOptions()

every_backend = pytest.mark.parametrize("backend", [*ALL, FLOAT32])
exact_backend = pytest.mark.parametrize("backend", [*EXACT, FLOAT32])


def open_variant(queries: Queries, backend: str, options: ScanOptions = DEFAULTS) -> Scanner:
    if backend == FLOAT32:
        return open_scanner(queries, "exact", replace(options, bfloat16=False))
    return open_scanner(queries, backend, options)


def scan_in_blocks(
    backend: str,
    queries: Queries,
    samples: NDArray[np.float16],
    uids: NDArray[np.uint64],
    cuts: tuple[int, ...] = (),
    options: ScanOptions | None = None,
) -> tuple[list[Scores], object]:
    scanner = open_variant(queries, backend, options or ScanOptions(threads=2))
    blocks = zip(np.split(samples, cuts), np.split(uids, cuts), strict=True)
    scores = [scanner.scan(block, ids) for block, ids in blocks]
    return scores, scanner.neighbours()


def require_truth(
    backend: str,
    queries: Queries,
    samples: NDArray[np.float16],
    cuts: tuple[int, ...] = (),
    k: int = 10,
    memory_limit: int = 1 << 30,
) -> None:
    """Scan and require every number to be the float64 one, bit for bit."""
    uids = uids_of(3, len(samples))
    options = ScanOptions(k=k, threads=2, memory_limit=memory_limit)
    scores, found = scan_in_blocks(backend, queries, samples, uids, cuts, options)
    right = truth(queries, samples, uids, k)
    np.testing.assert_array_equal(np.concatenate([s.similarity for s in scores]), right.similarity)
    np.testing.assert_array_equal(np.concatenate([s.nearest for s in scores]), right.nearest)
    if right.margin is None:
        assert all(s.margin is None and s.margin_query is None for s in scores)
    else:
        np.testing.assert_array_equal(np.concatenate([s.margin for s in scores]), right.margin)
        np.testing.assert_array_equal(np.concatenate([s.margin_query for s in scores]), right.margin_query)
    require_neighbours(found, right.neighbours, samples, uids, k)


def require_neighbours(found, ranked, samples, uids, k) -> None:
    assert found.similarity.shape == (len(ranked), k)
    for query, expected in enumerate(ranked):
        got = [
            (-float(s), int(u[0]), int(u[1]))
            for s, u in zip(found.similarity[query], found.uids[query], strict=True)
            if np.isfinite(s)
        ]
        assert got == expected
        position = found.position[query]
        assert (position[len(expected) :] == -1).all()
        np.testing.assert_array_equal(uids[position[: len(expected)]], found.uids[query, : len(expected)])


@exact_backend
@pytest.mark.parametrize("thresholds", [True, False])
@pytest.mark.parametrize("sizes", [(70,), (1, 33, 64, 5), (16, 16)])
def test_clustered_pool(backend: str, sizes: tuple[int, ...], thresholds: bool) -> None:
    queries = packed(sizes, clustered(1, sum(sizes), 64), thresholds)
    require_truth(backend, queries, clustered(2, 700, 64), cuts=(1, 1, 130, 650))


@exact_backend
@pytest.mark.parametrize("width", [1, 2, 3, 31, 65, 512, 640])
def test_any_width(backend: str, width: int) -> None:
    queries = packed((40, 9), clustered(1, 49, width), True)
    require_truth(backend, queries, clustered(2, 300, width), cuts=(100,))


@exact_backend
@pytest.mark.parametrize("k", [1, 3, 50, 400])
def test_k_from_one_to_more_than_everything(backend: str, k: int) -> None:
    queries = packed((20, 13), clustered(1, 33, 32), True)
    require_truth(backend, queries, clustered(2, 300, 32), cuts=(7, 90), k=k)


@exact_backend
def test_one_row_and_empty_blocks(backend: str) -> None:
    queries = packed((5,), clustered(1, 5, 24), True)
    require_truth(backend, queries, clustered(2, 4, 24), cuts=(0, 1, 2, 2, 3))
    scores, found = scan_in_blocks(backend, queries, clustered(2, 0, 24), uids_of(1, 0))
    assert scores[0].similarity.shape == (0, 1)
    assert (found.position == -1).all()
    assert np.isneginf(found.similarity).all()


@exact_backend
def test_duplicates_tie_by_query_position_and_uid(backend: str) -> None:
    """Every query and every sample occurs many times; thresholds of equal queries differ or agree."""
    vectors = np.repeat(clustered(1, 9, 48), 11, axis=0)
    samples = np.tile(np.concatenate([clustered(2, 8, 48), vectors[::11]]), (40, 1))
    queries = packed((44, 55), vectors, True)
    levels = np.repeat(np.linspace(0.5, 0.9, 33), 3)
    queries = Queries(queries.vectors, queries.names, queries.starts, levels)
    require_truth(backend, queries, samples, cuts=(100, 101, 500))


@exact_backend
def test_everything_equal(backend: str) -> None:
    one = clustered(1, 1, 40)
    queries = packed((150,), np.repeat(one, 150, axis=0), True)
    require_truth(backend, queries, np.repeat(one, 400, axis=0), cuts=(300,))


@exact_backend
def test_near_ties_of_one_float16_step(backend: str) -> None:
    """Samples and queries that differ in the last bit of single elements: a screen cannot tell them apart."""
    random = np.random.default_rng(4)
    base = unit(random.normal(size=(1, 256)))
    bits = np.repeat(base, 130, axis=0).view(np.uint16)
    bits[np.arange(130), random.integers(256, size=130)] ^= 1
    vectors = bits.view(np.float16)
    more = np.repeat(base, 300, axis=0).view(np.uint16)
    more[np.arange(300), random.integers(256, size=300)] ^= random.integers(1, 4, 300).astype(np.uint16)
    require_truth(backend, packed((100, 30), vectors, True), more.view(np.float16), cuts=(11,))


@exact_backend
def test_thresholds_at_the_very_similarity(backend: str) -> None:
    """A margin of exactly zero keeps; one step of float64 beside it decides."""
    vectors, samples = clustered(1, 60, 96), clustered(2, 200, 96)
    exact = (samples.astype(np.float64) @ vectors.astype(np.float64).T).max(axis=0)
    exact[20:40] = np.nextafter(exact[20:40], 2.0)
    exact[40:] = np.nextafter(exact[40:], -2.0)
    starts = np.array([0, 60], np.int64)
    queries = Queries(vectors, ("b",), starts, exact)
    require_truth(backend, queries, samples)
    scores, _ = scan_in_blocks(backend, queries, samples, uids_of(3, 200))
    margin = np.concatenate([s.margin for s in scores])[:, 0]
    assert (margin.max() > 0) == bool((exact[40:] < 2).any())


@every_backend
@pytest.mark.parametrize("step", [0.0, -0.1, -0.4])
def test_counts_of_queries_over_their_threshold(backend: str, step: float) -> None:
    vectors, samples = clustered(1, 101, 48), clustered(2, 200, 48)
    scores = samples.astype(np.float64) @ vectors.astype(np.float64).T
    queries = replace(packed((40, 61), vectors, True), thresholds=np.sort(scores, axis=0)[-3] + step)
    scanner = open_variant(queries, backend, ScanOptions(threads=2, count_over=True, k=5))
    found = np.concatenate([scanner.scan(block).over for block in np.split(samples, [1, 90])])
    over = scores > queries.thresholds
    right = np.stack([over[:, :40].sum(1), over[:, 40:].sum(1)], 1)
    assert found.dtype == np.int32
    assert right.any()
    assert (found <= right).all()
    if backend in EXACT or backend == FLOAT32:
        np.testing.assert_array_equal(found, right)
    assert open_variant(queries, backend, ScanOptions()).scan(samples).over is None


@exact_backend
def test_a_stream_that_comes_ever_nearer(backend: str) -> None:
    vectors = clustered(1, 130, 64, clusters=3)
    samples = clustered(2, 900, 64, clusters=3)
    order = np.argsort((samples.astype(np.float64) @ vectors.astype(np.float64).T).mean(1))
    for k in (1, 10, 65):
        require_truth(backend, packed((100, 30), vectors, True), samples[order], cuts=(40, 500), k=k)
        require_truth(backend, packed((130,), vectors, False), samples[order[::-1]], k=k)


@exact_backend
def test_thresholds_far_outside_the_cosines(backend: str) -> None:
    queries = packed((30, 30), clustered(1, 60, 32), False)
    levels = np.tile([-25, 25, 0.1, -1e-9, 1e-300, -3.3], 10)
    require_truth(
        backend, Queries(queries.vectors, queries.names, queries.starts, levels), clustered(2, 90, 32)
    )


@exact_backend
def test_opposite_orthogonal_and_long_rows(backend: str) -> None:
    """All similarities negative, all zero, and norms away from 1 (still canonical enough to be exact)."""
    vectors = clustered(1, 40, 64, clusters=1, spread=0.2)
    samples = np.concatenate(
        [-vectors, vectors * np.float16(3), vectors * np.float16(2e-3), np.zeros_like(vectors)]
    )
    require_truth(backend, packed((33, 7), vectors, True), samples)


@exact_backend
def test_subnormal_elements(backend: str) -> None:
    random = np.random.default_rng(8)
    tiny = (random.normal(size=(80, 512)) * 2e-6).astype(np.float16)
    tiny[:, 0] = 1
    require_truth(backend, packed((50,), tiny[:50], True), tiny)


@exact_backend
def test_a_nearer_cluster_late_in_the_stream(backend: str) -> None:
    """The last block holds hundreds of samples nearer than all before: none may be lost."""
    vectors = clustered(1, 30, 64)
    late = unit(
        np.repeat(vectors, 40, axis=0).astype(np.float64)
        + 0.02 * np.random.default_rng(1).normal(size=(1200, 64))
    )
    require_truth(
        backend, packed((30,), vectors, True), np.concatenate([clustered(2, 800, 64), late]), cuts=(800,)
    )


@exact_backend
def test_permuting_rows_blocks_and_threads_changes_nothing(backend: str) -> None:
    queries = packed((30, 41), clustered(1, 71, 64), True)
    samples, uids = clustered(2, 900, 64), uids_of(4, 900)
    samples[500:700] = samples[100:300]
    first, near = scan_in_blocks(backend, queries, samples, uids)
    for seed, threads in ((1, 1), (2, 3)):
        order = np.random.default_rng(seed).permutation(900)
        cuts = tuple(np.sort(np.random.default_rng(seed).integers(0, 900, 6)).tolist())
        options = ScanOptions(threads=threads, memory_limit=8 << 20)
        scores, again = scan_in_blocks(backend, queries, samples[order], uids[order], cuts, options)
        for name in ("similarity", "nearest", "margin", "margin_query"):
            got = np.concatenate([getattr(s, name) for s in scores])
            np.testing.assert_array_equal(got, getattr(first[0], name)[order])
        np.testing.assert_array_equal(near.similarity, again.similarity)
        np.testing.assert_array_equal(near.uids, again.uids)


@exact_backend
def test_ties_without_uids_go_by_stream_position(backend: str) -> None:
    one = clustered(1, 1, 16)
    queries = packed((2,), np.repeat(one, 2, axis=0), False)
    scanner = open_variant(queries, backend, ScanOptions(k=4, threads=2))
    scanner.scan(np.repeat(one, 3, axis=0))
    scanner.scan(np.repeat(one, 3, axis=0))
    assert scanner.neighbours().position.tolist() == [[0, 1, 2, 3]] * 2
    assert scanner.neighbours().uids[0].tolist() == [[0, 0], [0, 1], [0, 2], [0, 3]]


@exact_backend
def test_larger_than_one_tile(backend: str) -> None:
    """Enough rows and queries that every backend cuts them into several tiles."""
    queries = packed((700, 1100, 3), clustered(1, 1803, 32, clusters=60), True)
    require_truth(backend, queries, clustered(2, 2500, 32, clusters=60), cuts=(1200,), k=3)


@every_backend
def test_results_have_the_promised_types(backend: str) -> None:
    queries = packed((30, 40), clustered(1, 70, 32), True)
    scores, found = scan_in_blocks(backend, queries, clustered(2, 200, 32), uids_of(1, 200), (50,))
    for block in scores:
        assert block.similarity.dtype == np.float64
        assert block.nearest.dtype == np.int32
        assert block.margin.dtype == np.float64
        assert block.margin_query.dtype == np.int32
        assert (block.nearest >= 0).all()
        assert (block.nearest < [30, 40]).all()
    assert found.uids.dtype == np.uint64
    assert found.position.dtype == np.int64


@every_backend
def test_wrong_width(backend: str) -> None:
    scanner = open_variant(packed((5,), clustered(1, 5, 32), True), backend)
    with pytest.raises(ShapeError, match="width 32"):
        scanner.scan(clustered(1, 5, 31))
    with pytest.raises(ShapeError, match="uids"):
        scanner.scan(clustered(1, 5, 32), uids_of(1, 4))


@every_backend
@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf, 60000.0])
def test_rows_that_are_not_finite_or_far_too_long(backend: str, poison: float) -> None:
    samples = clustered(1, 300, 32)
    samples[271, 5] = poison
    scanner = open_variant(packed((5,), clustered(1, 5, 32), True), backend)
    with pytest.raises(DataError, match=r"sample 271 .*canonical"):
        scanner.scan(samples)


@every_backend
def test_other_dtypes_are_refused(backend: str) -> None:
    scanner = open_variant(packed((5,), clustered(1, 5, 32), True), backend)
    with pytest.raises(DataError, match=r"float32.*canonical"):
        scanner.scan(clustered(1, 5, 32).astype(np.float32))


@every_backend
def test_memory_limit_too_small_for_one_block(backend: str) -> None:
    queries = packed((500,), clustered(1, 500, 32), True)
    with pytest.raises(BadInputError, match=r"memory limit of 0.0 MB is too small"):
        open_variant(queries, backend, ScanOptions(memory_limit=20_000))


def test_unknown_backend_names_those_there_are() -> None:
    with pytest.raises(UnknownNameError, match=r"faiss_flt.*available: .*exact"):
        open_scanner(packed((5,), clustered(1, 5, 32), True), "faiss_flt")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k is 0"),
        ({"threads": 0}, "threads"),
        ({"memory_limit": 0}, "memory"),
        ({"device": "tpu"}, "device"),
    ],
)
def test_options_are_checked_at_birth(options: dict, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        ScanOptions(**options)
