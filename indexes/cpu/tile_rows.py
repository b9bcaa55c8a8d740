"""Questions to one row of a tile's products, in a few vector instructions each.

What is marked `no cover` here runs only while numba compiles, and so not when its cache is warm.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

from indexes.cpu.emitter import Emitter
from indexes.cpu.processor import LANES, VECTORS

_I64, _FLOAT = ir.IntType(64), ir.FloatType()
_VF = ir.VectorType(_FLOAT, LANES)


def _differences(emit: Emitter, scores: ir.Value, levels: ir.Value) -> list[ir.Value]:  # pragma: no cover
    step = 4 * LANES
    pairs = ((emit.load(scores, step * v, _VF), emit.load(levels, step * v, _VF)) for v in range(VECTORS))
    return [emit.builder.fsub(score, level) for score, level in pairs]


def _top(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:  # pragma: no cover
    emit = Emitter(builder)
    largest = emit.largest(_differences(emit, *arguments))
    return emit.call(f"llvm.vector.reduce.fmax.v{LANES}f32", _FLOAT, [largest], ("nnan",))


def _type_top(typing_context: Any, scores: Any, levels: Any) -> Any:  # pragma: no cover
    return types.float32(types.int64, types.int64), _top


def _reaching(
    context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any
) -> ir.Value:  # pragma: no cover
    emit = Emitter(builder)
    scores, levels, limit = arguments
    cut, mask = emit.splat(limit, _VF), ir.Constant(_I64, 0)
    for vector, values in enumerate(_differences(emit, scores, levels)):
        lanes = builder.zext(emit.reaches(values, cut), _I64)
        mask = builder.or_(mask, builder.shl(lanes, ir.Constant(_I64, LANES * vector)))
    return mask


def _type_reaching(typing_context: Any, scores: Any, levels: Any, limit: Any) -> Any:  # pragma: no cover
    return types.int64(types.int64, types.int64, types.float32), _reaching


def _first(
    context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any
) -> ir.Value:  # pragma: no cover
    emit = Emitter(builder)
    return emit.call("llvm.cttz.i64", _I64, [arguments[0], ir.Constant(ir.IntType(1), 1)])


def _type_first(typing_context: Any, mask: Any) -> Any:  # pragma: no cover
    return types.int64(types.int64), _first


def _at(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:  # pragma: no cover
    place = builder.add(arguments[0], builder.mul(arguments[1], ir.Constant(_I64, 4)))
    return builder.load(builder.inttoptr(place, _FLOAT.as_pointer()), align=4)


def _type_at(typing_context: Any, address: Any, index: Any) -> Any:  # pragma: no cover
    return types.float32(types.int64, types.int64), _at


top_of: Any = intrinsic(_type_top)
"""Largest score − level of a row; scores and levels by address."""

reaching: Any = intrinsic(_type_reaching)
"""Bits of the columns whose score − level is at or above a limit."""

first_bit: Any = intrinsic(_type_first)
"""Position of the lowest bit that is set."""

float_at: Any = intrinsic(_type_at)
"""The float32 at an address and index."""
