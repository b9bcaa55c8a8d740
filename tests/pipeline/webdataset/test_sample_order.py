"""Tars take neighbouring places of one order, exactly as many as asked, whatever is counted where."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.sets.membership import is_member, times_of
from pipeline.webdataset.sample_order import buckets, orders, slices


@pytest.mark.parametrize("total", [1, 9, 10, 11, 1000, 4001])
@pytest.mark.parametrize("size", [1, 7, 10, 5000])
def test_slices_cut_the_sorted_order(total: int, size: int) -> None:
    uids = np.random.default_rng(total).integers(0, 2**64, (total, 2), np.uint64)
    placed = np.sort(orders(uids, np.zeros(total, np.int64), 3))
    count = -(-total // size)
    of = buckets(placed, count)
    assert of.min() >= 0
    assert of.max() < count
    assert (np.diff(of) >= 0).all()
    found = slices(np.bincount(of, minlength=count), size)
    assert [one.take for one in found] == [min(size, total - start) for start in range(0, total, size)]
    tars = [placed[(of >= one.first) & (of <= one.last)][one.skip : one.skip + one.take] for one in found]
    np.testing.assert_array_equal(np.concatenate(tars), placed)


def test_nothing_gives_no_tars() -> None:
    assert slices(np.zeros(1, np.int64), 10) == []


def test_a_place_depends_on_uid_copy_and_seed_alone() -> None:
    uids = np.random.default_rng(0).integers(0, 2**64, (50, 2), np.uint64)
    copies = np.arange(50) % 3
    whole = orders(uids, copies, 5)
    turned = orders(uids[::-1], copies[::-1], 5)[::-1]
    np.testing.assert_array_equal(whole, turned)
    assert (
        len({*whole.tolist(), *orders(uids, copies, 6).tolist(), *orders(uids, copies + 1, 5).tolist()})
        == 150
    )


def test_uids_are_counted_as_often_as_they_stand_there() -> None:
    rng = np.random.default_rng(1)
    pairs = rng.integers(0, 4, (300, 2)).astype(np.uint64) * np.uint64(2**62)
    subset = np.sort(np.array([tuple(pair) for pair in pairs.tolist()], np.dtype("u8,u8")))
    asked = np.array([(high, low) for high in range(5) for low in range(5)], np.uint64) * np.uint64(2**61)
    expected = [sum(tuple(pair) == tuple(one) for pair in pairs.tolist()) for one in asked.tolist()]
    np.testing.assert_array_equal(times_of(subset, asked), expected)
    np.testing.assert_array_equal(is_member(subset, asked), np.array(expected) > 0)
    assert times_of(subset[:0], asked).sum() == 0
