"""The fused kernel for GPUs: float16 tensor cores, float32 sums, group maxima of rows and columns in registers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import triton
import triton.language as tl

from indexes.group_maxima import GROUP, Columns, GroupMaxima

if TYPE_CHECKING:
    from torch import Tensor

BLOCK_ROWS, BLOCK_COLUMNS, BLOCK_WIDTH = 128, 256, 64
BAND = 8
"""Row tiles that share the queries of a column tile while those are in the second-level cache."""


@triton.jit  # type: ignore[untyped-decorator, unused-ignore]
def _tile(  # pragma: no cover - runs on the device
    samples: Any,
    queries: Any,
    levels: Any,
    similarity: Any,
    margin: Any,
    column: Any,
    rows: Any,
    columns: Any,
    width: Any,
    ROWS: tl.constexpr,  # noqa: N803
    COLUMNS: tl.constexpr,  # noqa: N803
    WIDTH: tl.constexpr,  # noqa: N803
    SIZE: tl.constexpr,  # noqa: N803
    NEIGHBOURS: tl.constexpr,  # noqa: N803
) -> None:
    """One tile of the scores, of which only group maxima leave the registers."""
    across = tl.cdiv(columns, COLUMNS)
    band = tl.program_id(0) // (NEIGHBOURS * across)
    first = band * NEIGHBOURS
    height = tl.minimum(tl.cdiv(rows, ROWS) - first, NEIGHBOURS)
    inside = tl.program_id(0) % (NEIGHBOURS * across)
    top, left = (first + inside % height) * ROWS, (inside // height) * COLUMNS
    row, col = top + tl.arange(0, ROWS), left + tl.arange(0, COLUMNS)
    here, there = row < rows, col < columns
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for start in range(0, width, WIDTH):
        k = start + tl.arange(0, WIDTH)
        inner = k < width
        at_sample = row.to(tl.int64)[:, None] * width + k[None, :]
        at_query = col.to(tl.int64)[None, :] * width + k[:, None]
        a = tl.load(samples + at_sample, mask=here[:, None] & inner[None, :], other=0.0)
        b = tl.load(queries + at_query, mask=there[None, :] & inner[:, None], other=0.0)
        total = tl.dot(a, b, total)
    level = tl.load(levels + col, mask=there, other=0.0)
    groups = columns // SIZE
    group = left // SIZE + tl.arange(0, COLUMNS // SIZE)
    at_group = row.to(tl.int64)[:, None] * groups + group[None, :]
    keep = here[:, None] & (group < groups)[None, :]
    tl.store(similarity + at_group, tl.max(tl.reshape(total, (ROWS, COLUMNS // SIZE, SIZE)), 2), mask=keep)
    margins = tl.reshape(total - level[None, :], (ROWS, COLUMNS // SIZE, SIZE))
    tl.store(margin + at_group, tl.max(margins, 2), mask=keep)
    counted = tl.where(here[:, None], total, float("-inf"))
    upright = tl.max(tl.reshape(counted, (ROWS // SIZE, SIZE, COLUMNS)), 1)
    stripe = top // SIZE + tl.arange(0, ROWS // SIZE)
    at_stripe = stripe.to(tl.int64)[:, None] * columns + col[None, :]
    tl.store(column + at_stripe, upright, mask=(stripe * SIZE < rows)[:, None] & there[None, :])


def tile_maxima(samples: Tensor, columns: Columns) -> GroupMaxima:
    """Group maxima of `(n, d)` float16 samples; same answer as `plain_maxima` up to the order of sums."""
    rows, width = samples.shape
    count = len(columns.vectors)
    shapes = ((rows, count // GROUP), (rows, count // GROUP), (-(-rows // GROUP), count))
    found = GroupMaxima(*(torch.empty(shape, dtype=torch.float32, device=samples.device) for shape in shapes))
    grid = (triton.cdiv(rows, BLOCK_ROWS) * triton.cdiv(count, BLOCK_COLUMNS),)
    _tile[grid](
        samples,
        columns.vectors,
        columns.level,
        *found,
        rows,
        count,
        width,
        ROWS=BLOCK_ROWS,
        COLUMNS=BLOCK_COLUMNS,
        WIDTH=BLOCK_WIDTH,
        SIZE=GROUP,
        NEIGHBOURS=BAND,
        num_warps=8,
        num_stages=3,
    )
    return found
