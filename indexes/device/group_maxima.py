"""Screened scores on a torch device, of which little is kept.

A block of samples against all queries gives, per row, the two largest similarities and margins of every 64 columns, and
one bit per pair that says whether it may be among the query's nearest. Where the second largest lies too low to matter,
one exact product settles a group; where it does not, the whole group is computed.

Which member the largest is costs nothing to keep: its number in the group replaces the lowest six bits of the score.
That moves a score by less than 2^-17 of its size, which is part of the bound, and makes all members of a group differ.
The fused kernel (`indexes.device.triton_tile`) never writes the scores to memory; plain torch
(`indexes.device.plain_tile`) gives the same arrays, up to the order of sums.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.device.plain_tile import plain_maxima
from indexes.device.query_columns import GROUP, GroupMaxima, QueryColumns

if TYPE_CHECKING:
    from torch import Tensor


def fused_maxima(samples: Tensor, columns: QueryColumns, cut: Tensor) -> GroupMaxima:
    """Group maxima by the fused kernel where it runs, else by plain torch.

    Args:
        samples: `(n, d)` float16.
        columns: The queries.
        cut: `(c,)` float32, a similarity below it cannot be among the query's nearest.
    """
    if samples.device.type != "cuda":
        return plain_maxima(samples, columns, cut)
    try:
        from indexes.device.triton_tile import tile_maxima
    except ImportError:
        return plain_maxima(samples, columns, cut)
    return tile_maxima(samples, columns, cut)


def member(numbered: Tensor) -> Tensor:
    """Read off which member of its group a numbered score belongs to: `(…)` float32 to int64."""
    import torch

    return (numbered.view(torch.int32) & (GROUP - 1)).long()


def device_error_bound(samples: float, queries: float, width: int, threshold: float) -> float:
    """Bound of a numbered score's error, from the largest norms.

    Both operands are float16 as stored, so nothing is lost before the product, and products of two float16 are exact
    in float32. What is left is the sum, as in `indexes.bound`; tensor cores add with fewer guard bits than IEEE
    demands, so its unit roundoff is taken four times as large (2^-22). Numbering and float32 comparisons are added.
    """
    steps, size = (width + 2) * 2.0**-22, samples * queries + threshold + 1
    return steps / (1 - steps) * samples * queries + (2.0**-17 + 2.0**-20) * size
