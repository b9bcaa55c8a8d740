"""The fused kernels for GPUs: float16 tensor cores, float32 sums, group maxima in registers; and exact products."""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, NamedTuple

import torch
import triton
import triton.language as tl

from indexes.device.query_columns import GROUP, NOTHING, WORD, GroupMaxima, QueryColumns

if TYPE_CHECKING:
    from torch import Tensor


class Shape(NamedTuple):
    """A tile's rows, columns and width per step, its warps, and how many steps are loaded ahead."""

    rows: int
    columns: int
    width: int
    warps: int
    stages: int


SHAPES = (
    Shape(128, 128, 64, 4, 3),
    Shape(128, 128, 64, 8, 4),
    Shape(128, 256, 64, 8, 3),
    Shape(64, 64, 32, 4, 2),
)
"""Timed against each other once per card and width; they change no decision. The last one fits any card."""

BAND = 8
"""Row tiles that share the queries of a column tile while those are in the second-level cache."""

PAIRS, CHUNK = 16, 64
TRIAL_ROWS = 16_384


@triton.jit  # type: ignore[untyped-decorator, unused-ignore]
def _store_two(  # type: ignore[no-untyped-def]  # pragma: no cover - runs on the device
    scores,
    at,
    second,
    keep,
    SIZE: tl.constexpr,  # noqa: N803
    LOWEST: tl.constexpr,  # noqa: N803
):
    """Number the scores of each group and store the two largest; numbered scores of a group all differ."""
    number = tl.arange(0, SIZE)[None, None, :]
    numbered = ((scores.to(tl.int32, bitcast=True) & -SIZE) | number).to(tl.float32, bitcast=True)
    largest = tl.max(numbered, 2)
    others = tl.where(numbered == largest[:, :, None], LOWEST, numbered)
    tl.store(at, largest, mask=keep)
    tl.store(at + second, tl.max(others, 2), mask=keep)


@triton.jit(do_not_specialize=["rows"])  # type: ignore[untyped-decorator, unused-ignore]
def _tile(  # type: ignore[no-untyped-def]  # pragma: no cover - runs on the device
    samples,
    queries,
    levels,
    cuts,
    similarity,
    margin,
    near,
    rows,
    columns,
    width,
    ROWS: tl.constexpr,  # noqa: N803
    COLUMNS: tl.constexpr,  # noqa: N803
    WIDTH: tl.constexpr,  # noqa: N803
    SIZE: tl.constexpr,  # noqa: N803
    BITS: tl.constexpr,  # noqa: N803
    NEIGHBOURS: tl.constexpr,  # noqa: N803
    LOWEST: tl.constexpr,  # noqa: N803
):
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
    word = left // BITS + tl.arange(0, COLUMNS // BITS)
    at = row.to(tl.int64)[:, None] * (columns // BITS) + word[None, :]
    reaches = total >= tl.load(cuts + col, mask=there, other=-LOWEST)[None, :]
    bit = tl.where(reaches, (1 << (tl.arange(0, COLUMNS) % BITS))[None, :], 0)
    bits = tl.sum(tl.reshape(bit, (ROWS, COLUMNS // BITS, BITS)), 2)
    tl.store(near + at, bits, mask=here[:, None] & (word < columns // BITS)[None, :])
    level = tl.load(levels + col, mask=there, other=-LOWEST)
    total = tl.where((level < -LOWEST)[None, :], total, LOWEST)
    group = left // SIZE + tl.arange(0, COLUMNS // SIZE)
    at = row.to(tl.int64)[:, None] * (columns // SIZE) + group[None, :]
    keep, second = here[:, None] & (group < columns // SIZE)[None, :], rows.to(tl.int64) * (columns // SIZE)
    _store_two(tl.reshape(total, (ROWS, COLUMNS // SIZE, SIZE)), similarity + at, second, keep, SIZE, LOWEST)
    margins = tl.reshape(total - level[None, :], (ROWS, COLUMNS // SIZE, SIZE))
    _store_two(margins, margin + at, second, keep, SIZE, LOWEST)


@triton.jit(do_not_specialize=["count"])  # type: ignore[untyped-decorator, unused-ignore]
def _pairs(  # type: ignore[no-untyped-def]  # pragma: no cover - runs on the device
    samples,
    queries,
    rows,
    columns,
    out,
    count,
    width,
    SIZE: tl.constexpr,  # noqa: N803
    CHUNK: tl.constexpr,  # noqa: N803
):
    """Exact inner products: float16 products do not round in float32, nor their sums in float64."""
    pair = tl.program_id(0) * SIZE + tl.arange(0, SIZE)
    here = pair < count
    row, column = tl.load(rows + pair, mask=here, other=0), tl.load(columns + pair, mask=here, other=0)
    total = tl.zeros((SIZE, CHUNK), tl.float64)
    for start in range(0, width, CHUNK):
        k = start + tl.arange(0, CHUNK)
        inside = here[:, None] & (k < width)[None, :]
        a = tl.load(samples + row[:, None] * width + k[None, :], mask=inside, other=0.0).to(tl.float32)
        b = tl.load(queries + column[:, None] * width + k[None, :], mask=inside, other=0.0).to(tl.float32)
        total += (a * b).to(tl.float64)
    tl.store(out + pair, tl.sum(total, 1), mask=here)


def tile_maxima(
    samples: Tensor, columns: QueryColumns, cut: Tensor, shape: Shape | None = None
) -> GroupMaxima:
    """Group maxima as `plain_maxima` has them, up to the order of sums.

    Args:
        samples: `(n, d)` float16, on the same device as everything else.
        columns: The queries.
        cut: `(c,)` float32, a similarity below it cannot be among the query's nearest.
        shape: The tile; None takes the fastest of `SHAPES`, timed once per card and width.
    """
    rows, width = samples.shape
    count, device = len(columns.vectors), samples.device
    similarity, margin = (torch.empty((2, rows, count // GROUP), device=device) for _ in range(2))
    found = GroupMaxima(
        similarity, margin, torch.empty((rows, count // WORD), dtype=torch.int32, device=device)
    )
    with current(device):
        tile = shape or _fastest_shape(width, str(device))
        _tile[(triton.cdiv(rows, tile.rows) * triton.cdiv(count, tile.columns),)](
            samples,
            columns.vectors,
            columns.level,
            cut,
            *found,
            rows,
            count,
            width,
            ROWS=tile.rows,
            COLUMNS=tile.columns,
            WIDTH=tile.width,
            SIZE=GROUP,
            BITS=WORD,
            NEIGHBOURS=BAND,
            LOWEST=NOTHING,
            num_warps=tile.warps,
            num_stages=tile.stages,
        )
    return found


def exact_values(samples: Tensor, vectors: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Exact inner products of pairs of rows.

    Args:
        samples: `(n, d)` float16.
        vectors: `(c, d)` float16.
        rows: `(p,)` int64 rows of `samples`.
        columns: `(p,)` int64 rows of `vectors`.

    Returns:
        `(p,)` float64, without rounding.
    """
    out = torch.empty(len(rows), dtype=torch.float64, device=samples.device)
    if not len(rows):
        return out
    with current(samples.device):
        _pairs[(triton.cdiv(len(rows), PAIRS),)](
            samples,
            vectors,
            rows,
            columns,
            out,
            len(rows),
            samples.shape[1],
            SIZE=PAIRS,
            CHUNK=CHUNK,
        )
    return out


def current(device: torch.device) -> AbstractContextManager[object]:
    """Make a card torch's current one for a while: Triton starts a kernel there, wherever its arrays are."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


@functools.cache
def _fastest_shape(width: int, device: str) -> Shape:
    """Time the shapes on this card with random vectors; one that does not fit it is passed over."""
    random = torch.Generator(device).manual_seed(0)
    rows = torch.randn((TRIAL_ROWS, width), device=device, generator=random).div_(width**0.5).half()
    groups = TRIAL_ROWS // GROUP
    nothing = torch.zeros(TRIAL_ROWS, device=device)
    columns = QueryColumns(
        rows, nothing, nothing.long(), nothing.bool(), (0, groups), nothing[:groups].long()
    )
    cut, times = torch.ones(TRIAL_ROWS, device=device), {}
    for shape in SHAPES:
        try:
            times[shape] = triton.testing.do_bench(lambda tile=shape: tile_maxima(rows, columns, cut, tile))
        except triton.runtime.errors.OutOfResources:
            continue
    return min(times, key=lambda shape: times[shape])
