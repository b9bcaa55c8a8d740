"""Synthetic embeddings with known structure, and the right answers by float64 in the plainest way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexes.queries import Queries


def unit(rows: NDArray[np.floating]) -> NDArray[np.float16]:
    wide = rows.astype(np.float64)
    return (wide / np.linalg.norm(wide, axis=1, keepdims=True)).astype(np.float16)


def clustered(
    seed: int, rows: int, width: int, clusters: int = 12, spread: float = 0.6
) -> NDArray[np.float16]:
    """Unit vectors around shared centres: the top similarities tie closely, as those of real pools do."""
    centres = np.random.default_rng(99).normal(size=(clusters, width))
    random = np.random.default_rng(seed)
    return unit(centres[random.integers(clusters, size=rows)] + spread * random.normal(size=(rows, width)))


def packed(sizes: tuple[int, ...], vectors: NDArray[np.float16], thresholds: bool, seed: int = 5) -> Queries:
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    names = tuple(f"benchmark_{number}" for number in range(len(sizes)))
    levels = np.random.default_rng(seed).uniform(0.4, 0.95, len(vectors)) if thresholds else None
    return Queries(vectors, names, starts, levels)


def uids_of(seed: int, rows: int) -> NDArray[np.uint64]:
    """Uids whose order is not the stream's; high halves repeat, so that the low half matters."""
    random = np.random.default_rng(seed)
    high = random.integers(0, 4, rows).astype(np.uint64)
    return np.stack([high, random.permutation(rows).astype(np.uint64)], axis=1)


@dataclass(frozen=True)
class Truth:
    similarity: NDArray[np.float64]
    nearest: NDArray[np.int64]
    margin: NDArray[np.float64] | None
    margin_query: NDArray[np.int64] | None
    neighbours: list[list[tuple[float, int, int]]]


def truth(queries: Queries, samples: NDArray[np.float16], uids: NDArray[np.uint64], k: int) -> Truth:
    scores = samples.astype(np.float64) @ queries.vectors.astype(np.float64).T
    similarity, nearest = _maxima(scores, queries)
    margin = margin_query = None
    if queries.thresholds is not None:
        margin, margin_query = _maxima(scores - queries.thresholds, queries)
    ranked = []
    for query in range(len(queries.vectors)):
        order = np.lexsort((uids[:, 1], uids[:, 0], -scores[:, query]))[:k]
        ranked.append([(-float(scores[row, query]), int(uids[row, 0]), int(uids[row, 1])) for row in order])
    return Truth(similarity, nearest, margin, margin_query, ranked)


def _maxima(scores: NDArray[np.float64], queries: Queries) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    parts = np.split(scores, queries.starts[1:-1], axis=1)
    return np.stack([p.max(1) for p in parts], 1), np.stack([p.argmax(1) for p in parts], 1)
