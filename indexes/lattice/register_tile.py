"""The register tile and the product of a pair for rows of whole numbers, in LLVM's language through numba.

A tile multiplies `ROWS` rows by `COLUMNS` columns over the first units of both, begins each sum at what its column
takes off, and says for each row which columns reach its cut. Sums are of whole numbers and do not round in any form:
int8 and int16 are added in int32, and the float32 of a lattice stay below 2^24 (`choosing.Lattice`).

What is marked `no cover` here runs only while numba compiles, and so not when its cache is warm.
"""

from __future__ import annotations

from typing import Any, Final

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

from indexes.cpu.emitter import FLOATS, INTS, Emitter, declared
from indexes.cpu.kernel import inlined, register_sums
from indexes.cpu.processor import COLUMNS, FLOAT32, HAS_INT8, HAS_INT16, INT8, INT16, LANES, VECTORS

FLIP: Final = -2139062144
"""Bits that turn four int8 into those numbers plus 128, without sign."""
VALUES: Final = 128
"""Bytes of a tile's answer before its sums: `ROWS` masks of 64 bits, rounded up to whole cache lines."""

_I32, _I64 = ir.IntType(32), ir.IntType(64)


def _sums(
    emit: Emitter, sides: tuple[ir.Value, ir.Value, ir.Value], levels: ir.Value, form: int
) -> list[list[ir.Value]]:  # pragma: no cover
    """Loop over the units with all sums in registers; each begins at minus its column's level."""
    builder = emit.builder
    begin = [builder.neg(emit.load(levels, 4 * LANES * column, INTS)) for column in range(VECTORS)]
    if form == FLOAT32:
        begin = [builder.sitofp(value, FLOATS) for value in begin]
    sums = register_sums(emit, sides, form, begin)
    if form == FLOAT32:
        sums = [[builder.fptosi(value, INTS) for value in row] for row in sums]
    return sums


def _define_tile(function: ir.Function, form: int) -> None:  # pragma: no cover
    """Body of the tile: sums, one mask a row, and a store of the sums where a mask is not empty."""
    function.linkage = "internal"
    function.attributes.add("noinline")
    left, right, units, cuts, levels, out = function.args
    emit = Emitter(ir.IRBuilder(function.append_basic_block("entry")))
    builder, answer = emit.builder, ir.Constant(_I64, 0)
    sums = _sums(emit, (left, right, units), levels, form)
    for row, values in enumerate(sums):
        cut = emit.splat(emit.load(cuts, 4 * row, _I32), INTS)
        mask: ir.Value = ir.Constant(_I64, 0)
        for column, value in enumerate(values):
            lanes = builder.bitcast(builder.icmp_signed(">=", value, cut), ir.IntType(LANES))
            moved = builder.shl(builder.zext(lanes, _I64), ir.Constant(_I64, LANES * column))
            mask = builder.or_(mask, moved)
        builder.store(mask, emit.at(out, 8 * row, _I64), align=8)
        answer = builder.or_(answer, mask)
    with builder.if_then(builder.icmp_unsigned("!=", answer, ir.Constant(_I64, 0))):
        for row, values in enumerate(sums):
            for column, value in enumerate(values):
                place = VALUES + 4 * (COLUMNS * row + LANES * column)
                builder.store(value, emit.at(out, place, INTS), align=4)
    builder.ret(answer)


def _tile(form: int, name: str, there: bool) -> Any:
    def generate(  # pragma: no cover
        context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any
    ) -> ir.Value:
        if not there:
            return ir.Constant(_I64, 0)
        function = declared(builder.module, f"nearfar_lattice_tile_{name}", _I64, [_I64] * 6)
        if function.is_declaration:
            _define_tile(function, form)
        return builder.call(function, arguments)

    def typed(context: Any, a: Any, b: Any, units: Any, cuts: Any, levels: Any, out: Any) -> Any:
        return types.int64(*[types.int64] * 6), generate

    return intrinsic(typed)


def _pair(form: int, there: bool) -> Any:
    def generate(  # pragma: no cover
        context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any
    ) -> ir.Value:
        if not there:
            return ir.Constant(_I64, 0)
        emit, (left, right, units) = Emitter(builder), arguments
        kind, nothing = (FLOATS, 0.0) if form == FLOAT32 else (INTS, 0)
        entry = builder.block
        loop, done = builder.append_basic_block("pair"), builder.append_basic_block("paired")
        builder.branch(loop)
        builder.position_at_end(loop)
        index, total = builder.phi(_I64), builder.phi(kind)
        offset = builder.mul(index, ir.Constant(_I64, 4))
        a, b = (emit.load(builder.add(side, offset), 0, INTS) for side in (left, right))
        if form == INT8:
            a = builder.xor(a, ir.Constant(INTS, [FLIP] * LANES))
        value = emit.multiply_add(total, a, b, form)
        following = builder.add(index, ir.Constant(_I64, LANES))
        index.add_incoming(ir.Constant(_I64, 0), entry)
        index.add_incoming(following, loop)
        total.add_incoming(ir.Constant(kind, [nothing] * LANES), entry)
        total.add_incoming(value, loop)
        builder.cbranch(builder.icmp_unsigned("<", following, units), loop, done)
        builder.position_at_end(done)
        if form == FLOAT32:
            value = builder.fptosi(value, INTS)
        whole = emit.call(f"llvm.vector.reduce.add.v{LANES}i32", _I32, [value])
        return builder.sext(whole, _I64)

    def typed(context: Any, a: Any, b: Any, units: Any) -> Any:
        return types.int64(types.int64, types.int64, types.int64), generate

    return intrinsic(typed)


_tile_float32, _pair_float32 = _tile(FLOAT32, "float32", True), _pair(FLOAT32, True)
_tile_int16, _pair_int16 = _tile(INT16, "int16", HAS_INT16), _pair(INT16, HAS_INT16)
_tile_int8, _pair_int8 = _tile(INT8, "int8", HAS_INT8), _pair(INT8, HAS_INT8)


@inlined
def tile_of(form: int, sides: Any, cuts: Any, levels: Any, out: Any) -> Any:  # pragma: no cover
    """Multiply a tile in numbers of a form.

    Args:
        form: `processor.FLOAT32` or one of those beside it that holds whole numbers.
        sides: Addresses of both operands, int8 rows with their bits flipped, and their units.
        cuts: Address of `(ROWS,)` int32.
        levels: Address of `(COLUMNS,)` int32 that are taken off the sums before they are compared.
        out: Address of the answer: `(ROWS,)` int64 masks of the columns that reach their row's cut; and `VALUES` bytes
            after it, where a mask is not empty, `(ROWS, COLUMNS)` int32 sums.

    Returns:
        All masks in one.
    """
    a, b, units = sides
    if form == INT8:
        return _tile_int8(a, b, units, cuts, levels, out)
    if form == INT16:
        return _tile_int16(a, b, units, cuts, levels, out)
    return _tile_float32(a, b, units, cuts, levels, out)


@inlined
def pair_of(form: int, left: Any, right: Any, units: Any) -> Any:  # pragma: no cover
    """Multiply one pair of rows, given by address: what the tile's sum is with a level of zero."""
    if form == INT8:
        return _pair_int8(left, right, units)
    if form == INT16:
        return _pair_int16(left, right, units)
    return _pair_float32(left, right, units)


def _mask(
    context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any
) -> ir.Value:  # pragma: no cover
    emit, (out, lane) = Emitter(builder), arguments
    return emit.load(builder.add(out, builder.mul(lane, ir.Constant(_I64, 8))), 0, _I64, 8)


def _type_mask(typing_context: Any, out: Any, lane: Any) -> Any:  # pragma: no cover
    return types.int64(types.int64, types.int64), _mask


def _bits(
    context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any
) -> ir.Value:  # pragma: no cover
    return Emitter(builder).call("llvm.ctpop.i64", _I64, [arguments[0]])


def _type_bits(typing_context: Any, mask: Any) -> Any:  # pragma: no cover
    return types.int64(types.int64), _bits


mask_of: Any = intrinsic(_type_mask)
"""The mask of a row, by the address of a tile's answer and the row's place in it."""

bits_of: Any = intrinsic(_type_bits)
"""How many bits are set."""
