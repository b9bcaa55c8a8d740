"""Exact products on a torch device for groups that the screen could not decide; float64 has no rounding here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from indexes.decide import Maxima
from indexes.group_maxima import GROUP, Columns
from indexes.kbest import Offers

if TYPE_CHECKING:
    from torch import Tensor

_NUMBERS: Final = 1 << 22
_FAR: Final = 2**62


def resolve_rows(
    block: Tensor, columns: Columns, screened: Tensor, levels: Tensor | None, error: float, found: Maxima
) -> None:
    """Find the exact maximum per row and segment.

    Args:
        block: `(n, d)` float16 samples.
        columns: The queries.
        screened: `(n, c / 16)` float32 group maxima of similarities, or of margins.
        levels: `(q,)` float64 thresholds where `screened` are margins.
        error: Bound of a screened score's error.
        found: Takes the maxima.
    """
    import torch

    for segment, (first, last) in enumerate(zip(columns.starts, columns.starts[1:], strict=False)):
        part = screened[:, first:last]
        row, group = torch.nonzero(part >= part.amax(1, keepdim=True) - 2 * error, as_tuple=True)
        for some in _portions(len(row), block.shape[1]):
            rows, members = (
                row[some],
                (group[some, None] + first) * GROUP + torch.arange(GROUP, device=row.device),
            )
            vectors = columns.vectors[members].double()
            value = torch.einsum("pd,pgd->pg", block[rows].double(), vectors) + 0.0
            query = columns.query[members]
            if levels is not None:
                value = value - levels[query]
            largest = value.amax(1)
            lowest = torch.where(value == largest[:, None], query, _FAR).amin(1)
            found.offer(_host(rows), np.full(len(rows), segment), _host(lowest), largest.cpu().numpy())


def offers_of(
    block: Tensor, columns: Columns, screened: Tensor, floor: NDArray[np.float64], k: int, error: float
) -> Iterator[Offers]:
    """Pairs that may be among a query's `k` nearest, exactly; positions count from the block's first row.

    With at least `k` groups of rows, the k-th largest group maximum of a query is a similarity that at least `k`
    samples of this block reach (to within the bound), so a young stream needs no flood of exact products.
    """
    import torch

    floors = torch.from_numpy(floor).to(block.device)[columns.query]
    cut = floors - error
    if len(screened) >= k:
        kth = torch.topk(screened, k, dim=0).values[-1].double()
        cut = torch.maximum(cut, kth - 2 * error)
    cut[columns.filling] = torch.inf
    stripe, column = torch.nonzero(screened >= cut, as_tuple=True)
    for some in _portions(len(stripe), block.shape[1]):
        members = stripe[some, None] * GROUP + torch.arange(GROUP, device=stripe.device)
        inside = members < len(block)
        vectors = block[members.clamp(max=len(block) - 1)].double()
        value = torch.einsum("pgd,pd->pg", vectors, columns.vectors[column[some]].double()) + 0.0
        pair, member = torch.nonzero(inside & (value >= floors[column[some], None]), as_tuple=True)
        query = columns.query[column[some]][pair]
        rows = _host(members[pair, member])
        yield Offers(
            _host(query), value[pair, member].cpu().numpy(), np.zeros((len(rows), 2), np.uint64), rows
        )


def _portions(count: int, width: int) -> Iterator[slice]:
    step = max(1, _NUMBERS // (width * GROUP))
    for start in range(0, count, step):
        yield slice(start, start + step)


def _host(tensor: Tensor) -> NDArray[np.int64]:
    array: NDArray[np.int64] = tensor.cpu().numpy()
    return array
