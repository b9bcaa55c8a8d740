"""The screen in plain torch, through a score matrix in device memory: fallback and oracle of the fused kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexes.device.query_columns import GROUP, NOTHING, WORD, GroupMaxima, QueryColumns

if TYPE_CHECKING:
    from torch import Tensor


def plain_maxima(samples: Tensor, columns: QueryColumns, cut: Tensor) -> GroupMaxima:
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


def _two_largest(scores: Tensor) -> Tensor:
    """Number `(n, g, 64)` scores and keep the two largest, `(2, n, g)`."""
    import torch

    number = torch.arange(GROUP, dtype=torch.int32, device=scores.device)
    numbered = ((scores.view(torch.int32) & -GROUP) | number).view(torch.float32)
    return torch.topk(numbered, 2, dim=2).values.movedim(2, 0).contiguous()
