"""The register tile of the CPU engine, written in LLVM's language through numba.

One call multiplies `ROWS` samples by `COLUMNS` queries, keeps all products in registers over the whole width, and
compares them there with what is known already, so that the score matrix never reaches memory unless something in
the tile may matter. Operands are packed in units of four bytes: one float32, or two neighbouring bfloat16 or int16.

Why its answers hold: a product is the sum of `width` terms in one lane, fused, one rounding after the other, as
`indexes.bound` counts them, or a sum of integers, which does not round until it becomes a float32; cuts, levels and
floors are compared in float32, with the few roundings that are counted there too. A comparison with NaN is false, but
`packing.pack` refused such rows. Nothing is stored where the answer is zero: the tile in memory is then an older one's.

What is marked `no cover` here runs only while numba compiles, and so not when its cache is warm.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any, Final, TypeVar, cast

from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.extending import intrinsic

from indexes.cpu.emitter import FLOATS, INTS, Emitter, declared
from indexes.cpu.processor import (
    BFLOAT16,
    COLUMNS,
    FLOAT32,
    HAS_BFLOAT16,
    HAS_INT16,
    INT16,
    LANES,
    ROWS,
    VECTORS,
)

_Function = TypeVar("_Function", bound=Callable[..., Any])


MARGIN_BIT: Final = 16
COLUMN_BIT: Final = 32
"""In a tile's answer, bit r says that row r may hold a maximum, bit 16 + r a margin, bit 32 that a column counts."""

_I32, _I64, _FLOAT = ir.IntType(32), ir.IntType(64), ir.FloatType()


def compiled(function: _Function) -> _Function:
    """Compile by numba without the interpreter lock, cached on disk; FMA contraction would change no decision."""
    return cast("_Function", njit(cache=True, nogil=True, error_model="numpy")(function))


def inlined(function: _Function) -> _Function:
    """Compile into the callers: a call would copy every field of every array that it is given."""
    compiler: Any = njit
    options = {"cache": True, "nogil": True, "error_model": "numpy", "fastmath": {"nnan", "nsz"}}
    return cast("_Function", compiler(forceinline=True, **options)(function))


def register_sums(
    emit: Emitter, sides: tuple[ir.Value, ir.Value, ir.Value], form: int, begin: list[ir.Value]
) -> list[list[ir.Value]]:  # pragma: no cover
    """Loop over the width with all accumulators in registers.

    Every accumulator is a phi of its own: in memory they would be stored and loaded in each step. Queries are loaded
    once per step for all rows, a sample's unit is broadcast once for all its vectors of queries.

    Args:
        emit: Where to write it.
        sides: Addresses of the samples' and the queries' panel, and how many units there are.
        form: What is multiplied.
        begin: What each row's sums begin with, a vector for each of a panel's.
    """
    builder, (left, right, units) = emit.builder, sides
    entry = builder.block
    loop, done = builder.append_basic_block("loop"), builder.append_basic_block("done")
    builder.branch(loop)
    builder.position_at_end(loop)
    index, pa, pb = builder.phi(_I64), builder.phi(_I64), builder.phi(_I64)
    totals = [[builder.phi(value.type) for value in begin] for _ in range(ROWS)]
    queries = [emit.load(pb, 4 * LANES * column, INTS, 4 * LANES) for column in range(VECTORS)]
    sums = []
    for row in range(ROWS):
        sample = emit.splat(emit.load(pa, 4 * row, _I32), INTS)
        sums.append(
            [emit.multiply_add(t, sample, q, form) for t, q in zip(totals[row], queries, strict=True)]
        )
    steps = [(index, ir.Constant(_I64, 0), 1), (pa, left, 4 * ROWS), (pb, right, 4 * COLUMNS)]
    following = [builder.add(phi, ir.Constant(_I64, step)) for phi, _, step in steps]
    for (phi, start, _), value in zip(steps, following, strict=True):
        phi.add_incoming(start, entry)
        phi.add_incoming(value, loop)
    for place, (before, after) in enumerate(zip(chain(*totals), chain(*sums), strict=True)):
        before.add_incoming(begin[place % VECTORS], entry)
        before.add_incoming(after, loop)
    builder.cbranch(builder.icmp_unsigned("<", following[0], units), loop, done)
    builder.position_at_end(done)
    return sums


def _products(
    emit: Emitter, left: ir.Value, right: ir.Value, units: ir.Value, form: int
) -> list[list[ir.Value]]:  # pragma: no cover
    """Sums that begin at zero."""
    kind, zero = (INTS, 0) if form == INT16 else (FLOATS, 0.0)
    return register_sums(emit, (left, right, units), form, [ir.Constant(kind, [zero] * LANES)] * VECTORS)


def _row_hits(
    emit: Emitter, sums: list[list[ir.Value]], cuts: ir.Value, levels: list[ir.Value]
) -> ir.Value:  # pragma: no cover
    """Bits of the rows that reach their cut for the maximum, and for the margin.

    The largest of a row's vectors first, then one comparison: which columns it were is asked only of rows that hit.
    """
    builder = emit.builder
    answer: ir.Value = ir.Constant(_I64, 0)
    for row, values in enumerate(sums):
        margins = [builder.fsub(value, level) for value, level in zip(values, levels, strict=True)]
        for offset, bit, candidates in ((0, row, values), (4 * ROWS, MARGIN_BIT + row, margins)):
            cut = emit.splat(emit.load(cuts, offset + 4 * row, _FLOAT), FLOATS)
            lanes = emit.reaches(emit.largest(candidates), cut)
            hit = builder.icmp_unsigned("!=", lanes, ir.Constant(lanes.type, 0))
            answer = builder.or_(answer, builder.shl(builder.zext(hit, _I64), ir.Constant(_I64, bit)))
    return answer


def _column_hits(
    emit: Emitter, sums: list[list[ir.Value]], floors: ir.Value, error: ir.Value
) -> ir.Value:  # pragma: no cover
    """One bit: whether a column holds a value that may be among its query's nearest."""
    builder = emit.builder
    slack = emit.splat(error, FLOATS)
    found: ir.Value = ir.Constant(ir.IntType(LANES), 0)
    for column in range(VECTORS):
        floor = builder.fsub(emit.load(floors, 4 * LANES * column, FLOATS), slack)
        found = builder.or_(found, emit.reaches(emit.largest([row[column] for row in sums]), floor))
    hit = builder.icmp_unsigned("!=", found, ir.Constant(found.type, 0))
    return builder.shl(builder.zext(hit, _I64), ir.Constant(_I64, COLUMN_BIT))


def _define_tile(function: ir.Function, form: int) -> None:  # pragma: no cover
    """Body of the tile: products, comparisons, and a store of the products where something was found."""
    function.linkage = "internal"
    function.attributes.add("noinline")
    left, right, units, cuts, levels, floors, out, error, scale = function.args
    emit = Emitter(ir.IRBuilder(function.append_basic_block("entry")))
    sums = _products(emit, left, right, units, form)
    if form == INT16:
        by = emit.splat(scale, FLOATS)
        sums = [[emit.builder.fmul(emit.builder.sitofp(v, FLOATS), by) for v in row] for row in sums]
    thresholds = [emit.load(levels, 4 * LANES * column, FLOATS) for column in range(VECTORS)]
    answer = _row_hits(emit, sums, cuts, thresholds)
    answer = emit.builder.or_(answer, _column_hits(emit, sums, floors, error))
    with emit.builder.if_then(emit.builder.icmp_unsigned("!=", answer, ir.Constant(_I64, 0))):
        for row, values in enumerate(sums):
            for column, value in enumerate(values):
                emit.builder.store(value, emit.at(out, 4 * (COLUMNS * row + LANES * column), FLOATS), align=4)
    emit.builder.ret(answer)


def _tile(form: int, name: str, there: bool) -> Any:
    def generate(  # pragma: no cover
        context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any
    ) -> ir.Value:
        if not there:
            return ir.Constant(_I64, 0)
        function = declared(builder.module, f"nearfar_tile_{name}", _I64, [_I64] * 7 + [_FLOAT] * 2)
        if function.is_declaration:
            _define_tile(function, form)
        return builder.call(function, arguments)

    def typed(
        context: Any,
        a: Any,
        b: Any,
        units: Any,
        cuts: Any,
        levels: Any,
        floors: Any,
        out: Any,
        e: Any,
        by: Any,
    ) -> Any:
        return types.int64(*[types.int64] * 7, types.float32, types.float32), generate

    return intrinsic(typed)


tile_float32: Any = _tile(FLOAT32, "float32", True)
tile_bfloat16: Any = _tile(BFLOAT16, "bfloat16", HAS_BFLOAT16)
tile_int16: Any = _tile(INT16, "int16", HAS_INT16)
"""Bits of what a tile of products holds, by the addresses of both operands, their units, the addresses of cuts, levels,
floors and of the products' place, the bound e, and what a product of integers is multiplied by."""


@inlined
def tile_of(
    form: int, sides: Any, compared: Any, out: Any, numbers: Any
) -> Any:  # pragma: no cover - machine code
    """Multiply a tile in numbers of a form.

    Args:
        form: `processor.FLOAT32` or one of those beside it.
        sides: Addresses of both operands, and their units.
        compared: Addresses of cuts, levels and floors.
        out: Address of the products' place.
        numbers: The bound e, and what a product of integers is multiplied by; both float32.

    Returns:
        Bits of what the tile holds.
    """
    (a, b, units), (cuts, levels, floors), (error, scale) = sides, compared, numbers
    if form == INT16:
        return tile_int16(a, b, units, cuts, levels, floors, out, error, scale)
    if form == BFLOAT16:
        return tile_bfloat16(a, b, units, cuts, levels, floors, out, error, scale)
    return tile_float32(a, b, units, cuts, levels, floors, out, error, scale)
