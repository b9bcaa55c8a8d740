"""The oracle itself: against integers, which Python adds without rounding."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from vector_worlds import clustered, packed, truth, uids_of

from indexes.brute import open_scanner, similarities
from indexes.errors import BadInputError
from indexes.scanner import ScanOptions


def test_similarity_is_the_exact_rational_number() -> None:
    samples, vectors = clustered(1, 6, 200), clustered(2, 5, 200)
    found = similarities(samples, vectors.astype(np.float64))
    for row in range(6):
        for query in range(5):
            pairs = zip(samples[row].tolist(), vectors[query].tolist(), strict=True)
            assert Fraction(found[row, query]) == sum(Fraction(a) * Fraction(b) for a, b in pairs)


@pytest.mark.parametrize("memory_limit", [150_000, 1 << 30])
def test_blocks_equal_the_whole(memory_limit: int) -> None:
    queries, samples, uids = (
        packed((20, 7), clustered(1, 27, 40), True),
        clustered(2, 300, 40),
        uids_of(1, 300),
    )
    scanner = open_scanner(queries, ScanOptions(k=5, memory_limit=memory_limit))
    scores = scanner.scan(samples, uids)
    right = truth(queries, samples, uids, 5)
    np.testing.assert_array_equal(scores.similarity, right.similarity)
    np.testing.assert_array_equal(scores.nearest, right.nearest)
    np.testing.assert_array_equal(scores.margin, right.margin)
    np.testing.assert_array_equal(scores.margin_query, right.margin_query)
    found = scanner.neighbours()
    for query, expected in enumerate(right.neighbours):
        got = zip((-found.similarity[query]).tolist(), *found.uids[query].T.tolist(), strict=True)
        assert list(got) == expected


def test_memory_limit() -> None:
    with pytest.raises(BadInputError, match="too small"):
        open_scanner(packed((20, 7), clustered(1, 27, 40), True), ScanOptions(memory_limit=1000))
