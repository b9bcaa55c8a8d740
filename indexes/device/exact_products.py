"""Exact products on a torch device for what the screen could not decide; float64 has no rounding here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from indexes.device.group_maxima import member
from indexes.device.plain_tile import plain_scores
from indexes.device.query_columns import GROUP, WORD, QueryColumns

if TYPE_CHECKING:
    from torch import Tensor

_NUMBERS: Final = 1 << 22
_MOST_GROUPS: Final = 1 << 16
_FAR: Final = 2**62


class ScreenedPairs(NamedTuple):
    """Rows of a block and columns: `(p,)` int64 each."""

    rows: Tensor
    columns: Tensor


class RowMaxima(NamedTuple):
    """Largest exact value per row and segment with its packed query, ties to the lower: `(n, s)` each."""

    value: Tensor
    query: Tensor


def resolve_rows(
    block: Tensor, columns: QueryColumns, screened: Tensor, levels: Tensor | None, error: float
) -> RowMaxima:
    """Find the exact maximum per row and segment.

    Args:
        block: `(n, d)` float16 samples.
        columns: The queries.
        screened: `(2, n, c / 64)` float32, numbered similarities or margins.
        levels: `(q,)` float64 thresholds where `screened` are margins.
        error: Bound of a screened score's error.
    """
    import torch

    spans = list(zip(columns.starts, columns.starts[1:], strict=False))
    tops = torch.stack([screened[0, :, first:last].amax(1) for first, last in spans], 1)
    cut = (tops - 2 * error)[:, columns.segment]
    best = torch.full((tops.numel(),), -torch.inf, dtype=torch.float64, device=block.device)
    lowest = torch.full((tops.numel(),), _FAR, device=block.device)
    for pairs in _row_pairs(screened, cut, columns):
        query = columns.query[pairs.columns]
        value = _exact(block, columns, pairs)
        if levels is not None:
            value = value - levels[query]
        place = pairs.rows * len(spans) + columns.segment[pairs.columns // GROUP]
        before = best.clone()
        best.scatter_reduce_(0, place, value, "amax")
        lowest[best > before] = _FAR
        wins = value == best[place]
        lowest.scatter_reduce_(0, place[wins], query[wins], "amin")
    return RowMaxima(best.view(tops.shape), lowest.view(tops.shape))


def first_floor(block: Tensor, vectors: Tensor, k: int, error: float) -> Tensor:
    """Similarity that `k` samples of a block reach for certain, for each column: `(c,)` float64.

    A stream that begins with it needs no flood of exact products; -inf where the block has fewer samples.
    """
    import torch

    found = torch.full((len(vectors),), -torch.inf, dtype=torch.float64, device=block.device)
    if len(block) >= k:
        step = max(1, _NUMBERS // len(block))
        for start in range(0, len(vectors), step):
            scores = plain_scores(vectors[start : start + step], block)
            found[start : start + step] = torch.topk(scores, k, dim=1).values[:, -1].double() - error
    return found


def near_pairs(block: Tensor, columns: QueryColumns, near: Tensor) -> Iterator[tuple[ScreenedPairs, Tensor]]:
    """ScreenedPairs that reached their cut, with their exact similarities; a bounded number at a time.

    Args:
        block: `(n, d)` float16 samples.
        columns: The queries.
        near: `(n, c / 32)` int32 of `GroupMaxima`.
    """
    import torch

    bits = torch.arange(WORD, device=near.device)
    row, word = torch.nonzero(near, as_tuple=True)
    for rows, words in _portions(row, word):
        pair, bit = torch.nonzero((near[rows, words][:, None] >> bits) & 1, as_tuple=True)
        pairs = ScreenedPairs(rows[pair], words[pair] * WORD + bit)
        yield pairs, _exact(block, columns, pairs)


def _row_pairs(screened: Tensor, cut: Tensor, columns: QueryColumns) -> Iterator[ScreenedPairs]:
    """Single members where the group's second score lies below the cut, else whole groups."""
    import torch

    row, group = torch.nonzero(screened[0] >= cut, as_tuple=True)
    crowded = screened[1, row, group] >= cut[row, group]
    lone = ~crowded
    yield ScreenedPairs(row[lone], group[lone] * GROUP + member(screened[0, row[lone], group[lone]]))
    for rows, groups in _portions(row[crowded], group[crowded]):
        members = (groups[:, None] * GROUP + torch.arange(GROUP, device=row.device)).flatten()
        held = ~columns.filling[members]
        yield ScreenedPairs(rows.repeat_interleave(GROUP)[held], members[held])


def _portions(left: Tensor, right: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Ties by the thousand cost time, not memory."""
    for start in range(0, len(left), _MOST_GROUPS):
        yield left[start : start + _MOST_GROUPS], right[start : start + _MOST_GROUPS]


def _exact(block: Tensor, columns: QueryColumns, pairs: ScreenedPairs) -> Tensor:
    """Exact similarities; adding zero makes -0.0 and 0.0 the same bits."""
    import torch

    if block.device.type == "cuda":
        try:
            from indexes.device.triton_tile import exact_values
        except ImportError:
            pass
        else:
            return exact_values(block, columns.vectors, pairs.rows, pairs.columns) + 0.0
    step = max(1, _NUMBERS // block.shape[1])
    parts = [torch.zeros(0, dtype=torch.float64, device=block.device)]
    for start in range(0, len(pairs.rows), step):
        left = block[pairs.rows[start : start + step]].double()
        right = columns.vectors[pairs.columns[start : start + step]].double()
        parts.append(torch.linalg.vecdot(left, right))
    return torch.cat(parts) + 0.0
