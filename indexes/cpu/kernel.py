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

import llvmlite.binding as llvm  # type: ignore[import-untyped]
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils, config
from numba.extending import intrinsic

_Function = TypeVar("_Function", bound=Callable[..., Any])


def features_compiled_for() -> dict[str, bool]:
    """Features of the processor that numba compiles for: this one, unless NUMBA_CPU_FEATURES says otherwise."""
    named: str | None = getattr(config, "CPU_FEATURES", None)
    if named is None:
        return dict(llvm.get_host_cpu_features())
    return {feature[1:]: feature[0] == "+" for feature in named.split(",") if feature}


_FEATURES: Final = features_compiled_for()
HAS_BFLOAT16: Final = bool(_FEATURES.get("avx512bf16") and _FEATURES.get("avx512f"))
_WIDE: Final = bool(_FEATURES.get("avx512f"))
HAS_INT16: Final = bool(_FEATURES.get("avx2")) and not _WIDE
"""Whether pairs of int16 are multiplied and added at twice the rate of float32: AVX2's vpmaddwd and vpaddd use
other ports than its float units. With AVX-512 they gain nothing over bfloat16."""
LANES: Final = 16 if _WIDE else 8
ROWS: Final = 9 if _WIDE else 6
VECTORS: Final = 3 if _WIDE else 2
COLUMNS: Final = LANES * VECTORS
"""9 × 3 accumulators, 3 operands and a broadcast fill the 32 registers of AVX-512; 6 × 2, 2, one and a product the 16
of AVX2."""

FLOAT32: Final = 0
BFLOAT16: Final = 1
INT16: Final = 2
"""What a tile multiplies."""
NARROW: Final = BFLOAT16 if HAS_BFLOAT16 else INT16 if HAS_INT16 else FLOAT32
"""The fastest of them on this processor."""

MARGIN_BIT: Final = 16
COLUMN_BIT: Final = 32
"""In a tile's answer, bit r says that row r may hold a maximum, bit 16 + r a margin, bit 32 that a column counts."""

_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_FLOAT, _DOUBLE = ir.FloatType(), ir.DoubleType()
_VF = ir.VectorType(_FLOAT, LANES)
_VI = ir.VectorType(_I32, LANES)


class _BFloat(ir.Type):  # type: ignore[misc]  # pragma: no cover
    """LLVM's bfloat, which llvmlite's own list of types lacks."""

    def _to_string(self) -> str:
        return "bfloat"


_VB = ir.VectorType(_BFloat(), 2 * LANES)
_VS = ir.VectorType(_I16, 2 * LANES)


def compiled(function: _Function) -> _Function:
    """Compile by numba without the interpreter lock, cached on disk; FMA contraction would change no decision."""
    return cast("_Function", njit(cache=True, nogil=True, error_model="numpy")(function))


def inlined(function: _Function) -> _Function:
    """Compile into the callers: a call would copy every field of every array that it is given."""
    compiler: Any = njit
    options = {"cache": True, "nogil": True, "error_model": "numpy", "fastmath": {"nnan", "nsz"}}
    return cast("_Function", compiler(forceinline=True, **options)(function))


def _declare(
    module: ir.Module, name: str, result: ir.Type, arguments: list[ir.Type]
) -> ir.Function:  # pragma: no cover
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
        return self.builder.shuffle_vector(first, undefined, ir.Constant(_VI, [0] * LANES))

    def call(
        self, name: str, kind: ir.Type, operands: list[ir.Value], flags: tuple[str, ...] = ()
    ) -> ir.Value:
        """Call one of LLVM's own functions."""
        function = _declare(self.builder.module, name, kind, [operand.type for operand in operands])
        return self.builder.call(function, operands, fastmath=flags)

    def multiply_add(self, total: ir.Value, left: ir.Value, right: ir.Value, form: int) -> ir.Value:
        """Add products of one unit per lane: a float32, or two bfloat16 or int16."""
        cast_to = self.builder.bitcast
        if form == INT16:
            pairs = self.call("llvm.x86.avx2.pmadd.wd", _VI, [cast_to(left, _VS), cast_to(right, _VS)])
            return self.builder.add(total, pairs)
        if form == BFLOAT16:
            operands = [total, cast_to(left, _VB), cast_to(right, _VB)]
            return self.call("llvm.x86.avx512bf16.dpbf16ps.512", _VF, operands)
        operands = [cast_to(left, _VF), cast_to(right, _VF), total]
        return self.call(f"llvm.fma.v{LANES}f32", _VF, operands)

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


def _products(
    emit: Emitter, left: ir.Value, right: ir.Value, units: ir.Value, form: int
) -> list[list[ir.Value]]:  # pragma: no cover
    """Loop over the width with all accumulators in registers.

    Every accumulator is a phi of its own: in memory they would be stored and loaded in each step. Queries are loaded
    once per step for all rows, a sample's unit is broadcast once for all its vectors of queries.
    """
    builder = emit.builder
    kind, zero = (_VI, 0) if form == INT16 else (_VF, 0.0)
    entry = builder.block
    loop, done = builder.append_basic_block("loop"), builder.append_basic_block("done")
    builder.branch(loop)
    builder.position_at_end(loop)
    index, pa, pb = builder.phi(_I64), builder.phi(_I64), builder.phi(_I64)
    totals = [[builder.phi(kind) for _ in range(VECTORS)] for _ in range(ROWS)]
    queries = [emit.load(pb, 4 * LANES * column, _VI, 4 * LANES) for column in range(VECTORS)]
    sums = []
    for row in range(ROWS):
        sample = emit.splat(emit.load(pa, 4 * row, _I32), _VI)
        sums.append(
            [emit.multiply_add(t, sample, q, form) for t, q in zip(totals[row], queries, strict=True)]
        )
    steps = [(index, ir.Constant(_I64, 0), 1), (pa, left, 4 * ROWS), (pb, right, 4 * COLUMNS)]
    following = [builder.add(phi, ir.Constant(_I64, step)) for phi, _, step in steps]
    for (phi, start, _), value in zip(steps, following, strict=True):
        phi.add_incoming(start, entry)
        phi.add_incoming(value, loop)
    for before, after in zip(chain(*totals), chain(*sums), strict=True):
        before.add_incoming(ir.Constant(kind, [zero] * LANES), entry)
        before.add_incoming(after, loop)
    builder.cbranch(builder.icmp_unsigned("<", following[0], units), loop, done)
    builder.position_at_end(done)
    return sums


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
            cut = emit.splat(emit.load(cuts, offset + 4 * row, _FLOAT), _VF)
            lanes = emit.reaches(emit.largest(candidates), cut)
            hit = builder.icmp_unsigned("!=", lanes, ir.Constant(lanes.type, 0))
            answer = builder.or_(answer, builder.shl(builder.zext(hit, _I64), ir.Constant(_I64, bit)))
    return answer


def _column_hits(
    emit: Emitter, sums: list[list[ir.Value]], floors: ir.Value, error: ir.Value
) -> ir.Value:  # pragma: no cover
    """One bit: whether a column holds a value that may be among its query's nearest."""
    builder = emit.builder
    slack = emit.splat(error, _VF)
    found: ir.Value = ir.Constant(ir.IntType(LANES), 0)
    for column in range(VECTORS):
        floor = builder.fsub(emit.load(floors, 4 * LANES * column, _VF), slack)
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
        by = emit.splat(scale, _VF)
        sums = [[emit.builder.fmul(emit.builder.sitofp(v, _VF), by) for v in row] for row in sums]
    thresholds = [emit.load(levels, 4 * LANES * column, _VF) for column in range(VECTORS)]
    answer = _row_hits(emit, sums, cuts, thresholds)
    answer = emit.builder.or_(answer, _column_hits(emit, sums, floors, error))
    with emit.builder.if_then(emit.builder.icmp_unsigned("!=", answer, ir.Constant(_I64, 0))):
        for row, values in enumerate(sums):
            for column, value in enumerate(values):
                emit.builder.store(value, emit.at(out, 4 * (COLUMNS * row + LANES * column), _VF), align=4)
    emit.builder.ret(answer)


def _tile(form: int, name: str, there: bool) -> Any:
    def generate(  # pragma: no cover
        context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any
    ) -> ir.Value:
        if not there:
            return ir.Constant(_I64, 0)
        function = _declare(builder.module, f"nearfar_tile_{name}", _I64, [_I64] * 7 + [_FLOAT] * 2)
        if function.is_declaration:
            _define_tile(function, form)
        return builder.call(function, arguments)

    def typed(
        context: Any,
        left: Any,
        right: Any,
        units: Any,
        cuts: Any,
        levels: Any,
        floors: Any,
        out: Any,
        e: Any,
        s: Any,
    ) -> Any:
        return types.int64(*[types.int64] * 7, types.float32, types.float32), generate

    return intrinsic(typed)


tile_float32: Any = _tile(FLOAT32, "float32", True)
tile_bfloat16: Any = _tile(BFLOAT16, "bfloat16", HAS_BFLOAT16)
tile_int16: Any = _tile(INT16, "int16", HAS_INT16)
"""Bits of what a tile of products holds, by the addresses of both operands, their units, the addresses of cuts, levels,
floors and of the products' place, the bound e, and what a product of integers is multiplied by."""
