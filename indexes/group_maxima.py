"""Screened scores on a torch device, of which only the maxima of small groups are kept.

A block of samples against all queries gives, per row, the largest score and the largest margin of every 16 columns,
and per column the largest score of every 16 rows. From these it follows which groups can hold a pair that decides
something; only those are computed exactly. The plain path here is the fallback and the oracle of the fused kernel in
`indexes.triton_tile`, which never writes the scores to memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from indexes.queries import Queries

if TYPE_CHECKING:
    from torch import Tensor

GROUP: Final = 16


class Columns(NamedTuple):
    """The queries on a device; a segment's last group is filled up with its last query.

    Attributes:
        vectors: `(c, d)` float16.
        level: `(c,)` float32 thresholds, zero without.
        query: `(c,)` int64 packed query positions.
        starts: First group of each segment, and the number of groups.
        filling: `(c,)` bool, columns that repeat another.
    """

    vectors: Tensor
    level: Tensor
    query: Tensor
    starts: tuple[int, ...]
    filling: Tensor


class GroupMaxima(NamedTuple):
    """Attributes: similarity, margin: `(n, c / 16)` float32; column: `(ceil(n / 16), c)` float32."""

    similarity: Tensor
    margin: Tensor
    column: Tensor


def columns_of(queries: Queries, device: str) -> Columns:
    """Lay the queries out on a device."""
    import torch

    counts = -(-np.diff(queries.starts) // GROUP)
    packed = np.concatenate(
        [
            np.minimum(np.arange(first, first + count * GROUP), last - 1)
            for first, last, count in zip(queries.starts[:-1], queries.starts[1:], counts, strict=True)
        ]
    )
    levels = np.zeros(len(queries.vectors)) if queries.thresholds is None else queries.thresholds
    return Columns(
        torch.from_numpy(queries.vectors[packed]).to(device),
        torch.from_numpy(levels[packed].astype(np.float32)).to(device),
        torch.from_numpy(packed).to(device),
        (0, *np.cumsum(counts).tolist()),
        torch.from_numpy(np.diff(packed, prepend=-1) == 0).to(device),
    )


def plain_maxima(samples: Tensor, columns: Columns) -> GroupMaxima:
    """Group maxima by torch's own product, through a score matrix in device memory."""
    import torch

    if samples.device.type == "cuda":
        scores = torch.mm(samples, columns.vectors.T, out_dtype=torch.float32)
    else:
        scores = torch.mm(samples.float(), columns.vectors.float().T)
    rows, width = scores.shape
    missing = -rows % GROUP
    padded = torch.nn.functional.pad(scores, (0, 0, 0, missing), value=-torch.inf) if missing else scores
    return GroupMaxima(
        scores.view(rows, width // GROUP, GROUP).amax(2),
        (scores - columns.level).view(rows, width // GROUP, GROUP).amax(2),
        padded.view(-1, GROUP, width).amax(1),
    )


def fused_maxima(samples: Tensor, columns: Columns) -> GroupMaxima:
    """Group maxima by the fused kernel where it runs, else by the plain path."""
    if samples.device.type != "cuda":
        return plain_maxima(samples, columns)
    try:
        from indexes.triton_tile import tile_maxima
    except ImportError:
        return plain_maxima(samples, columns)
    return tile_maxima(samples, columns)


def device_error_bound(samples: float, queries: float, width: int, threshold: float) -> float:
    """Bound of a screened score's error, from the largest norms.

    Both operands are float16 as stored, so nothing is lost before the product, and products of two float16 are exact
    in float32. What is left is the sum, as in `indexes.bound`; tensor cores add with fewer guard bits than IEEE
    demands, so its unit roundoff is taken four times as large (2^-22), and float32 comparisons are added likewise.
    """
    steps = (width + 2) * 2.0**-22
    return steps / (1 - steps) * samples * queries + 2.0**-20 * (samples * queries + threshold + 1)
