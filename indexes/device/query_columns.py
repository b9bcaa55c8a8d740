"""The queries as a torch device holds them, and what a screen keeps of the scores; every path to them shares it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from indexes.queries import Queries

if TYPE_CHECKING:
    from torch import Tensor

GROUP: Final = 64
"""Columns of which the two largest scores are kept."""

WORD: Final = 32
"""Columns whose bits make one number of `GroupMaxima.near`."""

NOTHING: Final = -1e30
"""Score of what is not there: finite, since a number in the low bits of an infinity would make it NaN."""


class QueryColumns(NamedTuple):
    """The queries on a device; each segment begins a new group, and its last group is filled up with zeros.

    Attributes:
        vectors: `(c, d)` float16.
        level: `(c,)` float32 thresholds, zero without; -NOTHING in filling columns.
        query: `(c,)` int64 packed query positions.
        filling: `(c,)` bool, columns that hold no query.
        starts: First group of each segment, and the number of groups.
        segment: `(c / 64,)` int64, the segment of each group.
    """

    vectors: Tensor
    level: Tensor
    query: Tensor
    filling: Tensor
    starts: tuple[int, ...]
    segment: Tensor


class GroupMaxima(NamedTuple):
    """What is kept of the scores.

    Attributes:
        similarity: `(2, n, c / 64)` float32, largest (0) and second largest (1) numbered similarities.
        margin: `(2, n, c / 64)` float32, the same of margins.
        near: `(n, c / 32)` int32, bit i says that column i of the word reaches its cut.
    """

    similarity: Tensor
    margin: Tensor
    near: Tensor


def columns_of(queries: Queries, device: str) -> QueryColumns:
    """Lay the queries out on a device."""
    import torch

    sizes = np.diff(queries.starts)
    counts = -(-sizes // GROUP)
    starts = np.concatenate([[0], np.cumsum(counts)])
    place = np.concatenate(
        [start * GROUP + np.arange(size) for start, size in zip(starts, sizes, strict=False)]
    )
    filling = np.ones(starts[-1] * GROUP, bool)
    filling[place] = False
    vectors = np.zeros((len(filling), queries.width), np.float16)
    vectors[place] = queries.vectors
    level, query = np.full(len(filling), -NOTHING, np.float32), np.zeros(len(filling), np.int64)
    level[place] = 0 if queries.thresholds is None else queries.thresholds
    query[place] = np.arange(len(place))
    fields = (vectors, level, query, filling, np.repeat(np.arange(len(sizes)), counts))
    moved = [torch.from_numpy(field).to(device) for field in fields]
    return QueryColumns(moved[0], moved[1], moved[2], moved[3], tuple(starts.tolist()), moved[4])
