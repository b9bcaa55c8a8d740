"""The nearest earlier row and the farthest-first order, against float64 brute force written out."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from vector_worlds import clustered, uids_of, unit

from indexes.greedy import earlier as earlier_module
from indexes.greedy import farthest as farthest_module
from indexes.greedy.earlier import nearest_earlier
from indexes.greedy.farthest import farthest_first
from indexes.scanner import ScanOptions

OPTIONS = ScanOptions(k=1, device="cpu", threads=2)


def brute_earlier(
    vectors: NDArray[np.float16], uids: NDArray[np.uint64], order: NDArray[np.int64]
) -> tuple[list[float], list[int]]:
    wide = vectors.astype(np.float64)
    similarity, row = [-np.inf], [-1]
    for place in range(1, len(order)):
        found = [
            (-float(wide[order[place]] @ wide[order[j]]), *uids[order[j]].tolist(), j) for j in range(place)
        ]
        best = min(found)
        similarity.append(-best[0])
        row.append(best[3])
    return similarity, row


def with_copies(rows: int) -> tuple[NDArray[np.float16], NDArray[np.uint64]]:
    """Vectors of which many are copies of one another, so that ties decide."""
    vectors = clustered(3, rows, 16)
    vectors[rows // 2 :: 3] = vectors[: len(vectors[rows // 2 :: 3])]
    vectors[-rows // 10 :] = vectors[0]
    return vectors, uids_of(4, rows)


@pytest.mark.parametrize("rows", [1, 2, 3, 128, 129, 400])
def test_the_nearest_earlier_row_is_that_of_brute_force(rows: int) -> None:
    vectors, uids = with_copies(rows)
    order = np.random.default_rng(rows).permutation(rows)
    found = nearest_earlier(vectors, uids, order, OPTIONS)
    similarity, row = brute_earlier(vectors, uids, order)
    assert found.similarity.tolist() == similarity
    assert found.row.tolist() == row


def test_block_sizes_and_memory_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A group larger than memory is worked off in blocks of earlier and later rows."""
    vectors, uids = with_copies(400)
    order = np.random.default_rng(0).permutation(400)
    whole = nearest_earlier(vectors, uids, order, OPTIONS)
    for block in (7, 31, 400):
        monkeypatch.setattr(earlier_module, "_CHUNK", block)
        monkeypatch.setattr(earlier_module, "_SMALL", 100)
        for threads, narrow in ((1, True), (3, True), (2, False)):
            options = replace(OPTIONS, threads=threads, bfloat16=narrow, memory_limit=1 << 22)
            again = nearest_earlier(vectors, uids, order, options)
            np.testing.assert_array_equal(again.similarity, whole.similarity)
            np.testing.assert_array_equal(again.row, whole.row)


def test_rows_that_lie_apart_in_memory_are_taken_alike() -> None:
    vectors, uids = clustered(3, 600, 32), uids_of(4, 300)
    order = np.random.default_rng(0).permutation(300)
    apart, together = vectors[::2], np.ascontiguousarray(vectors[::2])
    assert not apart.flags.c_contiguous
    found, right = (nearest_earlier(rows, uids, order, OPTIONS) for rows in (apart, together))
    assert found.similarity.tolist() == right.similarity.tolist()
    thinned, right_order = (farthest_first(rows, uids, OPTIONS) for rows in (apart, together))
    assert thinned.place.tolist() == right_order.place.tolist()


def test_halving_as_on_a_card_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, uids = with_copies(400)
    order = np.random.default_rng(0).permutation(400)
    whole = nearest_earlier(vectors, uids, order, OPTIONS)
    monkeypatch.setattr(earlier_module, "works_on_card", lambda device: True)
    monkeypatch.setattr(earlier_module, "_FEW", 50)
    again = nearest_earlier(vectors, uids, order, OPTIONS)
    np.testing.assert_array_equal(again.similarity, whole.similarity)
    np.testing.assert_array_equal(again.row, whole.row)


def test_equal_vectors_all_name_the_lowest_uid_before_them() -> None:
    vectors, uids = np.repeat(unit(np.ones((1, 8))), 300, axis=0), uids_of(1, 300)
    order = np.lexsort((uids[:, 1], uids[:, 0]))
    found = nearest_earlier(vectors, uids, order, OPTIONS)
    assert found.row.tolist() == [-1] + [0] * 299


def hardly_apart(rows: int) -> tuple[NDArray[np.float16], NDArray[np.uint64]]:
    """Vectors so near to one another that no screen tells their products apart."""
    return unit(np.ones((rows, 32)) + 0.02 * np.random.default_rng(6).normal(size=(rows, 32))), uids_of(
        4, rows
    )


@pytest.mark.parametrize("narrow", [True, False])
@pytest.mark.parametrize(
    ("world", "rows"), [(with_copies, 1), (with_copies, 2), (with_copies, 170), (hardly_apart, 150)]
)
def test_farthest_first_is_that_of_brute_force(
    world: Callable[[int], tuple[NDArray[np.float16], NDArray[np.uint64]]],
    rows: int,
    narrow: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vectors, uids = world(rows)
    options = replace(OPTIONS, bfloat16=narrow)
    wide = vectors.astype(np.float64)
    left = sorted(range(rows), key=lambda n: uids[n].tolist())
    taken, levels = [left.pop(0)], [-np.inf]
    products = wide @ wide.T
    while left:
        highest = {n: float(products[n, taken].max()) for n in left}
        chosen = min(left, key=lambda n: (highest[n], *uids[n].tolist()))
        left.remove(chosen)
        taken.append(chosen)
        levels.append(highest[chosen])
    for window in (4096, 25, 7, 1):
        monkeypatch.setattr(farthest_module, "_WINDOW", window)
        monkeypatch.setattr(farthest_module, "_BLOCK", window + 5)
        found = farthest_first(vectors, uids, options)
        assert np.argsort(found.place).tolist() == taken
        assert found.level[taken].tolist() == levels


def test_a_window_as_on_a_card_is_compared_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, uids = with_copies(200)
    monkeypatch.setattr(farthest_module, "_WINDOW", 30)
    found = farthest_first(vectors, uids, OPTIONS)
    opened = []
    scanned = farthest_module._scanned
    monkeypatch.setattr(farthest_module, "works_on_card", lambda device: True)
    monkeypatch.setattr(farthest_module, "_scanned", lambda *given: opened.append(1) or scanned(*given))
    again = farthest_first(vectors, uids, OPTIONS)
    assert opened
    np.testing.assert_array_equal(again.place, found.place)
    np.testing.assert_array_equal(again.level, found.level)


def test_at_any_level_the_thinned_set_is_apart_and_maximal() -> None:
    vectors, uids = clustered(8, 300, 16), uids_of(9, 300)
    found = farthest_first(vectors, uids, OPTIONS)
    products = vectors.astype(np.float64) @ vectors.astype(np.float64).T
    assert (np.diff(found.level[np.argsort(found.place)]) >= 0).all()
    sizes = []
    for level in np.linspace(-0.5, 1.0, 16):
        kept, gone = np.flatnonzero(found.level <= level), np.flatnonzero(found.level > level)
        among = products[np.ix_(kept, kept)][~np.eye(len(kept), dtype=bool)]
        assert not (among > level).any()
        assert (products[np.ix_(gone, kept)].max(axis=1) > level).all()
        sizes.append(len(kept))
    assert sizes == sorted(sizes)
    assert sizes[0] < 20
    assert sizes[-1] > 250


def test_the_order_of_rows_does_not_change_the_thinning() -> None:
    vectors, uids = with_copies(200)
    found = farthest_first(vectors, uids, OPTIONS)
    mixed = np.random.default_rng(2).permutation(200)
    again = farthest_first(vectors[mixed], uids[mixed], OPTIONS)
    np.testing.assert_array_equal(again.level, found.level[mixed])
    np.testing.assert_array_equal(again.place, found.place[mixed])


def test_equal_vectors_are_taken_by_uid_window_after_window(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, uids = np.repeat(unit(np.ones((1, 8))), 100, axis=0), uids_of(1, 100)
    monkeypatch.setattr(farthest_module, "_WINDOW", 30)
    compared: list[int] = []
    compare = farthest_module._compare
    monkeypatch.setattr(farthest_module, "_compare", lambda *given: (compared.append(1), compare(*given))[1])
    found = farthest_first(vectors, uids, OPTIONS)
    assert np.lexsort((uids[:, 1], uids[:, 0])).tolist() == np.argsort(found.place).tolist()
    # The first alone, then 30, 30, 30 and 9.
    assert len(compared) == 5


def test_the_window_keeps_to_its_memory() -> None:
    for limit in (1 << 20, 1 << 26, 1 << 30):
        rows = farthest_module._window(512, replace(OPTIONS, memory_limit=limit))
        assert 4 * rows * rows + 2 * 4 * 512 * rows <= limit / 4


def test_memory_does_not_grow_with_the_group(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Vectors lie in a file, as those of a group that memory cannot hold; a row costs its place and its answer."""
    monkeypatch.setattr(earlier_module, "_CHUNK", 1024)
    peaks = []
    for rows in (4096, 4096, 16384):
        np.save(tmp_path / "group.npy", clustered(1, rows, 64))
        vectors = np.load(tmp_path / "group.npy", mmap_mode="r")
        tracemalloc.start()
        nearest_earlier(vectors, uids_of(2, rows), np.arange(rows), replace(OPTIONS, threads=1))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] - peaks[1] < 128 * (16384 - 4096)
    assert peaks[2] < 16384 * 64 * 2 * 4, "far from the square of the rows"
