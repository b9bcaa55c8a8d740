"""Screened scores on a torch device, of which little is kept.

A block of samples against all queries gives, per row, the two largest similarities and margins of every 64 columns, and
one bit per pair that says whether it may be among the query's nearest. Where the second largest lies too low to matter,
one exact product settles a group; where it does not, the whole group is computed.

Which member the largest is costs nothing to keep: its number in the group replaces the lowest six bits of the score.
That moves a score by less than 2^-17 of its size, which is part of the bound, and makes all members of a group differ.
The plain path here is the fallback and the oracle of the fused kernel in `indexes.device.triton_tile`, which never
writes the scores to memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from indexes.queries import Queries

if TYPE_CHECKING:
    from torch import Tensor

GROUP: Final = 64
WORD: Final = 32
NOTHING: Final = -1e30
"""Score of what is not there: finite, since a number in the low bits of an infinity would make it NaN."""


class Columns(NamedTuple):
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


def columns_of(queries: Queries, device: str) -> Columns:
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
    return Columns(moved[0], moved[1], moved[2], moved[3], tuple(starts.tolist()), moved[4])


def plain_maxima(samples: Tensor, columns: Columns, cut: Tensor) -> GroupMaxima:
    """Group maxima by torch's own product, through a score matrix in device memory.

    Args:
        samples: `(n, d)` float16.
        columns: The queries.
        cut: `(c,)` float32, a similarity below it cannot be among the query's nearest.
    """
    import torch

    scores = plain_scores(samples, columns.vectors)
    scores[:, columns.filling] = NOTHING
    groups, words = (len(samples), -1, GROUP), (len(samples), -1, WORD)
    bits = torch.ones(WORD, dtype=torch.int32, device=samples.device) << torch.arange(
        WORD, dtype=torch.int32, device=samples.device
    )
    return GroupMaxima(
        _two_largest(scores.view(groups)),
        _two_largest((scores - columns.level).view(groups)),
        ((scores >= cut).view(words) * bits).sum(2, dtype=torch.int32),
    )


def plain_scores(left: Tensor, right: Tensor) -> Tensor:
    """`(n, m)` float32 products of float16 rows, summed in float32."""
    import torch

    if left.device.type == "cuda":
        return torch.mm(left, right.T, out_dtype=torch.float32)
    return torch.mm(left.float(), right.float().T)


def member(numbered: Tensor) -> Tensor:
    """Which member of its group a numbered score belongs to."""
    import torch

    return (numbered.view(torch.int32) & (GROUP - 1)).long()


def _two_largest(scores: Tensor) -> Tensor:
    """Number `(n, g, 64)` scores and give the two largest, `(2, n, g)`."""
    import torch

    number = torch.arange(GROUP, dtype=torch.int32, device=scores.device)
    numbered = ((scores.view(torch.int32) & -GROUP) | number).view(torch.float32)
    return torch.topk(numbered, 2, dim=2).values.movedim(2, 0).contiguous()


def fused_maxima(samples: Tensor, columns: Columns, cut: Tensor) -> GroupMaxima:
    """Group maxima by the fused kernel where it runs, else by the plain path; arguments as there."""
    if samples.device.type != "cuda":
        return plain_maxima(samples, columns, cut)
    try:
        from indexes.device.triton_tile import tile_maxima
    except ImportError:
        return plain_maxima(samples, columns, cut)
    return tile_maxima(samples, columns, cut)


def device_error_bound(samples: float, queries: float, width: int, threshold: float) -> float:
    """Bound of a numbered score's error, from the largest norms.

    Both operands are float16 as stored, so nothing is lost before the product, and products of two float16 are exact
    in float32. What is left is the sum, as in `indexes.bound`; tensor cores add with fewer guard bits than IEEE
    demands, so its unit roundoff is taken four times as large (2^-22). Numbering and float32 comparisons are added.
    """
    steps, size = (width + 2) * 2.0**-22, samples * queries + threshold + 1
    return steps / (1 - steps) * samples * queries + (2.0**-17 + 2.0**-20) * size
