"""Both sides of the product in the layout of the register tile, with the sizes that the error bound needs."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from indexes.cpu.kernel import compiled
from indexes.cpu.primitives import CHUNK, widen
from indexes.cpu.processor import BFLOAT16, COLUMNS, FLOAT32, INT16
from indexes.queries import MAX_NORM, Queries

PAIR = 2
"""Narrow elements in a unit."""
MOST = 32767.0
"""Largest int16. A row's integers have this norm or a lower one, so 2^30 bounds their products' sums in int32."""
NEVER = np.float32(1e30)
"""A threshold that no sample comes near to."""


class Held(NamedTuple):
    """The queries, packed once: `p` panels of `COLUMNS` columns; a panel belongs to one segment.

    Attributes:
        panels: `(p, units, COLUMNS)` int32, four bytes of operand each.
        segment: `(p,)` int32.
        column: `(p * COLUMNS,)` int32 packed query position; the last query fills up its segment's last panel.
        level: `(p * COLUMNS,)` float32 thresholds; `NEVER` in filling columns.
        floor: `(p * COLUMNS,)` float32, the query's k-th best so far; +inf in filling columns.
        exact: `(q, padded width)` uint16, the bits of the float16 queries.
        thresholds: `(q,)` float64.
    """

    panels: NDArray[np.int32]
    segment: NDArray[np.int32]
    column: NDArray[np.int32]
    level: NDArray[np.float32]
    floor: NDArray[np.float32]
    exact: NDArray[np.uint16]
    thresholds: NDArray[np.float64]


class Sizes(NamedTuple):
    """Largest row norms of one side, rounded up.

    Attributes:
        whole: Of the vectors as they are.
        packed: Of the vectors as the tile sees them.
        residual: Of the differences.
        bad: First row whose norm is not finite or not below `MAX_NORM`, or -1.
        scale: What one is, as an integer; a power of two, so that dividing by it rounds nothing. 1 for floats.
    """

    whole: float
    packed: float
    residual: float
    bad: int
    scale: float


def padded_width(width: int) -> int:
    """Width rounded up to whole chunks."""
    return -(-width // CHUNK) * CHUNK


def units_of(width: int, form: int) -> int:
    """Operands of four bytes per row."""
    return width if form == FLOAT32 else -(-width // PAIR)


def padded_bits(vectors: NDArray[np.float16]) -> NDArray[np.uint16]:
    """The bits of `(n, d)` float16 rows, padded with zeros to whole chunks; a view where nothing is missing."""
    rows, width = vectors.shape
    if width == padded_width(width):
        return np.ascontiguousarray(vectors).view(np.uint16)
    padded = np.zeros((rows, padded_width(width)), np.uint16)
    padded[:, :width] = vectors.view(np.uint16)
    return padded


def padded_rows(
    vectors: NDArray[np.float16], rows: NDArray[np.int64]
) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
    """Give `(n, padded width)` bits of float16 vectors, and where some of their rows, `(m,)`, lie among them.

    Vectors that need no padding stay where they are, in a file too; of others these rows are copied.
    """
    width = vectors.shape[1]
    if width == padded_width(width) and vectors.flags.c_contiguous:
        return vectors.view(np.uint16), rows
    return padded_bits(np.asarray(vectors[rows])), np.arange(len(rows))


def aligned(shape: tuple[int, ...]) -> NDArray[np.int32]:
    """Make a zeroed int32 array of `(*shape)` that starts at a cache line."""
    size = 4 * int(np.prod(shape))
    raw = np.zeros(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size].view(np.int32).reshape(shape)


def hold(queries: Queries, form: int) -> tuple[Held, Sizes]:
    """Pack the queries; each segment begins a new panel."""
    sizes = np.diff(queries.starts)
    counts = -(-sizes // COLUMNS)
    segment = np.repeat(np.arange(len(sizes), dtype=np.int32), counts)
    column = np.concatenate(
        [
            np.minimum(np.arange(first, first + count * COLUMNS), last - 1)
            for first, last, count in zip(queries.starts[:-1], queries.starts[1:], counts, strict=True)
        ]
    ).astype(np.int32)
    filling = np.flatnonzero(np.diff(column) == 0) + 1
    floor = np.full(len(column), -np.inf, np.float32)
    floor[filling] = np.inf
    thresholds = queries.thresholds if queries.thresholds is not None else np.zeros(len(queries.vectors))
    exact = padded_bits(queries.vectors)
    panels = aligned((len(segment), units_of(queries.width, form), COLUMNS))
    packed = Sizes(*pack(exact, column, form, panels))
    level = thresholds[column].astype(np.float32)
    level[filling] = NEVER
    return Held(panels, segment, column, level, floor, exact, thresholds), packed


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True, fastmath={"reassoc", "contract"})
def _rounded(
    wide: NDArray[np.float32], bits: NDArray[np.uint32], narrow: NDArray[np.float32], out: NDArray[np.uint32]
) -> tuple[Any, Any, Any]:  # pragma: no cover - runs as machine code
    """Round float32 to bfloat16, and sum the squares of whole, packed and residual.

    `bits` and `out` are views of `wide` and `narrow`; source and target apart, so that the loops become vectors.
    """
    whole, packed, residual = np.float32(0), np.float32(0), np.float32(0)
    for i in range(bits.shape[0]):
        even = (bits[i] >> np.uint32(16)) & np.uint32(1)
        out[i] = (bits[i] + np.uint32(0x7FFF) + even) & np.uint32(0xFFFF0000)
    for i in range(bits.shape[0]):
        lost = wide[i] - narrow[i]
        whole += wide[i] * wide[i]
        packed += narrow[i] * narrow[i]
        residual += lost * lost
    return whole, packed, residual


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True, fastmath={"reassoc", "contract"})
def _square(wide: NDArray[np.float32]) -> Any:  # pragma: no cover - runs as machine code
    whole = np.float32(0)
    for i in range(wide.shape[0]):
        whole += wide[i] * wide[i]
    return whole


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True, fastmath={"reassoc", "contract"})
def _whole_numbers(
    wide: NDArray[np.float32], scale: Any, narrow: NDArray[np.float32], out: NDArray[np.int32]
) -> tuple[Any, Any, Any]:  # pragma: no cover - runs as machine code
    """Round float32 to integers of 1 / scale, and sum the squares of whole, packed and residual."""
    whole, packed, residual, back = np.float32(0), np.float32(0), np.float32(0), np.float32(1) / scale
    for i in range(wide.shape[0]):
        narrow[i] = np.rint(wide[i] * scale)
        out[i] = np.int32(narrow[i])
    for i in range(wide.shape[0]):
        near = narrow[i] * back
        lost = wide[i] - near
        whole += wide[i] * wide[i]
        packed += near * near
        residual += lost * lost
    return whole, packed, residual


@compiled
def scale_of(exact: NDArray[np.uint16], rows: NDArray[np.int32]) -> float:  # pragma: no cover - machine code
    """Largest power of two by which no row of `(n, padded width)` float16 bits is longer than `MOST`.

    It is 1 where a row is too long to be taken.
    """
    width = exact.shape[1]
    wide = np.empty(width, np.float32)
    start, target = np.int64(exact.ctypes.data), np.int64(wide.ctypes.data)
    largest = np.float32(1e-9)
    for index in range(rows.shape[0]):
        widen(start + 2 * width * rows[index], target, np.int64(width // CHUNK))
        square = _square(wide)
        if not square < MAX_NORM * MAX_NORM:
            return 1.0
        largest = max(largest, square)
    # Rounding adds sqrt(width) / 2 to the norm of the integers at most.
    room = (MOST - np.sqrt(width)) / np.sqrt(largest * (1.0 + max(2.0**-8, width * 2.0**-22)))
    return float(2.0 ** np.floor(np.log2(room)))


@compiled
def pack(
    exact: NDArray[np.uint16], rows: NDArray[np.int32], form: int, out: NDArray[np.int32]
) -> tuple[float, float, float, int, float]:  # pragma: no cover - runs as machine code
    """Pack `exact[rows]` into panels `(m, units, lanes)`; missing lanes of the last panel become zero.

    The sums of squares are taken in float32 in any order: d terms lose less than d · 2^-23 of the sum, so a
    factor of 1 + 2^-8 makes the square root an upper bound for every width below 2^14 (and d · 2^-22 beyond).
    """
    units, lanes, width = out.shape[1], out.shape[2], exact.shape[1]
    wide, narrow = np.empty(width, np.float32), np.empty(width, np.float32)
    bits, short, numbers = wide.view(np.uint32), narrow.view(np.uint32), np.empty(width, np.int32)
    start, target = np.int64(exact.ctypes.data), np.int64(wide.ctypes.data)
    largest, bad = np.zeros(3, np.float64), -1
    scale = scale_of(exact, rows) if form == INT16 else 1.0
    for index in range(rows.shape[0]):
        widen(start + 2 * width * rows[index], target, np.int64(width // CHUNK))
        panel, lane = index // lanes, index % lanes
        if form == BFLOAT16:
            whole, packed, residual = _rounded(wide, bits, narrow, short)
            for i in range(units):
                out[panel, i, lane] = np.int32((short[2 * i] >> np.uint32(16)) | short[2 * i + 1])
        elif form == INT16:
            whole, packed, residual = _whole_numbers(wide, np.float32(scale), narrow, numbers)
            for i in range(units):
                out[panel, i, lane] = np.int32((numbers[2 * i] & 0xFFFF) | (numbers[2 * i + 1] << 16))
        else:
            whole, residual = _square(wide), np.float32(0)
            packed = whole
            for i in range(units):
                out[panel, i, lane] = np.int32(bits[i])
        if bad < 0 and not whole < MAX_NORM * MAX_NORM:
            bad = index
        largest[0] = max(largest[0], whole)
        largest[1] = max(largest[1], packed)
        largest[2] = max(largest[2], residual)
    if rows.shape[0] % lanes:
        out[rows.shape[0] // lanes, :, rows.shape[0] % lanes :] = 0
    largest = np.sqrt(largest * (1.0 + max(2.0**-8, exact.shape[1] * 2.0**-22)))
    return largest[0], largest[1], largest[2], bad, scale
