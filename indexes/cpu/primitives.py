"""Small pieces of machine code for the CPU engine: exact inner products, widening and prefetching.

What is marked `no cover` here runs only while numba compiles, and so not when its cache is warm.
"""

from __future__ import annotations

from typing import Any, Final

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

CHUNK: Final = 16
"""Rows are padded with zeros to a multiple of this many elements."""

_function: Any = cgutils.get_or_insert_function
_variable: Any = cgutils.alloca_once_value

_I32, _I64 = ir.IntType(32), ir.IntType(64)
_HALVES = ir.VectorType(ir.HalfType(), CHUNK)
_FLOATS = ir.VectorType(ir.FloatType(), CHUNK)
_DOUBLES = ir.VectorType(ir.DoubleType(), CHUNK)


def _chunk(builder: ir.IRBuilder, address: ir.Value, index: ir.Value) -> ir.Value:  # pragma: no cover
    """Load chunk `index` of a float16 row as float32."""
    place = builder.add(address, builder.mul(index, ir.Constant(_I64, 2 * CHUNK)))
    halves = builder.load(builder.inttoptr(place, _HALVES.as_pointer()), align=2)
    return builder.fpext(halves, _FLOATS)


def _exact(
    context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any
) -> ir.Value:  # pragma: no cover
    left, right, chunks = arguments
    total = _variable(builder, ir.Constant(_DOUBLES, [0.0] * CHUNK))
    with cgutils.for_range(builder, chunks, intp=_I64) as loop:
        a, b = (_chunk(builder, side, loop.index) for side in (left, right))
        # 11 + 11 bits of significand: the product of two float16 is exact in float32.
        product = builder.fpext(builder.fmul(a, b), _DOUBLES)
        builder.store(builder.fadd(builder.load(total), product), total)
    kind = ir.FunctionType(ir.DoubleType(), [ir.DoubleType(), _DOUBLES])
    name = f"llvm.vector.reduce.fadd.v{CHUNK}f64"
    reduce = _function(builder.module, kind, name)
    return builder.call(
        reduce, [ir.Constant(ir.DoubleType(), 0.0), builder.load(total)], fastmath=("reassoc",)
    )


def _type_exact_product(typing_context: Any, left: Any, right: Any, chunks: Any) -> Any:  # pragma: no cover
    """Inner product in float64 of two float16 rows, given by address; no term and no sum of it rounds."""
    return types.float64(types.int64, types.int64, types.int64), _exact


def _widen(
    context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any
) -> ir.Value:  # pragma: no cover
    source, target, chunks = arguments
    with cgutils.for_range(builder, chunks, intp=_I64) as loop:
        place = builder.add(target, builder.mul(loop.index, ir.Constant(_I64, 4 * CHUNK)))
        wide = _chunk(builder, source, loop.index)
        builder.store(wide, builder.inttoptr(place, _FLOATS.as_pointer()), align=4)
    return context.get_dummy_value()


def _type_widen(typing_context: Any, source: Any, target: Any, chunks: Any) -> Any:  # pragma: no cover
    """Write a float16 row as float32; both by address."""
    return types.void(types.int64, types.int64, types.int64), _widen


def _prefetch(
    context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any
) -> ir.Value:  # pragma: no cover
    pointer = builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())
    kind = ir.FunctionType(ir.VoidType(), [pointer.type, _I32, _I32, _I32])
    function = _function(builder.module, kind, "llvm.prefetch.p0")
    builder.call(function, [pointer, *(ir.Constant(_I32, flag) for flag in (0, 2, 1))])
    return context.get_dummy_value()


def _type_prefetch(typing_context: Any, address: Any) -> Any:  # pragma: no cover
    """Ask for the cache line at an address to be brought to the second-level cache."""
    return types.void(types.int64), _prefetch


exact_product: Any = intrinsic(_type_exact_product)
widen: Any = intrinsic(_type_widen)
prefetch: Any = intrinsic(_type_prefetch)
