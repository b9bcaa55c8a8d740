"""Writes LLVM code for a tile: addresses, loads, products and comparisons of whole registers."""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils

from indexes.cpu.processor import BFLOAT16, INT8, INT16, LANES

_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_FLOAT, _DOUBLE = ir.FloatType(), ir.DoubleType()
FLOATS = ir.VectorType(_FLOAT, LANES)
INTS = ir.VectorType(_I32, LANES)


class _BFloat(ir.Type):  # type: ignore[misc]  # pragma: no cover
    """LLVM's bfloat, which llvmlite's own list of types lacks."""

    def _to_string(self) -> str:
        return "bfloat"


_VB = ir.VectorType(_BFloat(), 2 * LANES)
_VS = ir.VectorType(_I16, 2 * LANES)


def declared(
    module: ir.Module, name: str, result: ir.Type, arguments: list[ir.Type]
) -> ir.Function:  # pragma: no cover
    """Name a function of the module, which need not be there yet."""
    insert: Any = cgutils.get_or_insert_function
    return insert(module, ir.FunctionType(result, arguments), name)


class Emitter:  # pragma: no cover
    """Emits address arithmetic, loads and products into one function body."""

    def __init__(self, builder: ir.IRBuilder) -> None:
        self.builder = builder

    def at(self, address: ir.Value, offset: int, kind: ir.Type) -> ir.Value:
        """Pointer to a place some bytes after an address."""
        moved = self.builder.add(address, ir.Constant(_I64, offset))
        return self.builder.inttoptr(moved, kind.as_pointer())

    def load(self, address: ir.Value, offset: int, kind: ir.Type, align: int = 4) -> ir.Value:
        """Load a value from there."""
        return self.builder.load(self.at(address, offset, kind), align=align)

    def splat(self, value: ir.Value, kind: ir.VectorType) -> ir.Value:
        """The same number in every lane."""
        undefined = ir.Constant(kind, ir.Undefined)
        first = self.builder.insert_element(undefined, value, ir.Constant(_I32, 0))
        return self.builder.shuffle_vector(first, undefined, ir.Constant(INTS, [0] * LANES))

    def call(
        self, name: str, kind: ir.Type, operands: list[ir.Value], flags: tuple[str, ...] = ()
    ) -> ir.Value:
        """Call one of LLVM's own functions."""
        function = declared(self.builder.module, name, kind, [operand.type for operand in operands])
        return self.builder.call(function, operands, fastmath=flags)

    def multiply_add(self, total: ir.Value, left: ir.Value, right: ir.Value, form: int) -> ir.Value:
        """Add products of one unit per lane: a float32, two bfloat16 or int16, or four int8.

        Of int8, those on the left are without sign: the numbers plus 128.
        """
        cast_to = self.builder.bitcast
        if form == INT8:
            return self.call("llvm.x86.avx512.vpdpbusd.512", INTS, [total, left, right])
        if form == INT16:
            pairs = self.call("llvm.x86.avx2.pmadd.wd", INTS, [cast_to(left, _VS), cast_to(right, _VS)])
            return self.builder.add(total, pairs)
        if form == BFLOAT16:
            operands = [total, cast_to(left, _VB), cast_to(right, _VB)]
            return self.call("llvm.x86.avx512bf16.dpbf16ps.512", FLOATS, operands)
        operands = [cast_to(left, FLOATS), cast_to(right, FLOATS), total]
        return self.call(f"llvm.fma.v{LANES}f32", FLOATS, operands)

    def largest(self, values: list[ir.Value]) -> ir.Value:
        """Lane by lane, the largest of several vectors."""
        result = values[0]
        for value in values[1:]:
            above = self.builder.fcmp_ordered(">", value, result)
            result = self.builder.select(above, value, result)
        return result

    def reaches(self, values: ir.Value, cut: ir.Value) -> ir.Value:
        """One bit per lane: whether the value is at or above the cut."""
        lanes = self.builder.fcmp_ordered(">=", values, cut)
        return self.builder.bitcast(lanes, ir.IntType(LANES))
