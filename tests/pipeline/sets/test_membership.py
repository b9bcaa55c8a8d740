"""Membership in a split's sorted uids, whichever halves of a uid vary."""

from __future__ import annotations

import time
from collections import Counter

import numpy as np
import pytest

from pipeline.sets.membership import is_member, times_of

PAIR = np.dtype([("f0", "<u8"), ("f1", "<u8")])


@pytest.mark.parametrize("highs", [1, 3, 2**64 - 1])
@pytest.mark.parametrize("size", [0, 1, 2, 3, 64, 1000])
def test_it_is_what_a_set_says(highs: int, size: int) -> None:
    random = np.random.default_rng(size)
    drawn = np.empty(size, PAIR)
    drawn["f0"] = random.integers(0, highs, size, np.uint64, endpoint=True)
    drawn["f1"] = (
        random.integers(0, 2**64, size, np.uint64) if highs > 3 else random.integers(0, 3 * size, size)
    )
    subset = np.sort(np.concatenate([drawn, drawn[: size // 2]]))
    others = np.stack([random.integers(0, highs, 500, np.uint64), random.integers(0, 3 * size + 1, 500)], 1)
    held = np.stack([subset["f0"], subset["f1"]], 1)
    extremes = np.array([[0, 0], [2**64 - 1, 2**64 - 1]], np.uint64)
    uids = np.concatenate([held, others.astype(np.uint64), extremes, held[::-1]])
    times = Counter(map(tuple, held.tolist()))
    assert times_of(subset, uids).tolist() == [times[uid] for uid in map(tuple, uids.tolist())]
    assert is_member(subset, uids).tolist() == [uid in times for uid in map(tuple, uids.tolist())]


def test_numbered_samples_are_as_fast_as_hashed_ones() -> None:
    """Own uids such as 0, 1, 2, … share their high half; a walk along equal halves took minutes."""
    subset = np.zeros(200_000, PAIR)
    subset["f1"] = np.arange(0, 400_000, 2)
    uids = np.zeros((100_000, 2), np.uint64)
    uids[:, 1] = np.arange(100_000)
    start = time.perf_counter()
    assert is_member(subset, uids).sum() == 50_000
    assert time.perf_counter() - start < 5
