"""What this processor multiplies fast, and the tile that fills its registers."""

from __future__ import annotations

from typing import Final

import llvmlite.binding as llvm  # type: ignore[import-untyped]
from numba.core import config


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
HAS_INT8: Final = bool(_FEATURES.get("avx512vnni") and _WIDE)
"""Whether products of four int8 are added to an int32 in one instruction: twice the rate of bfloat16."""
LANES: Final = 16 if _WIDE else 8
ROWS: Final = 9 if _WIDE else 6
VECTORS: Final = 3 if _WIDE else 2
COLUMNS: Final = LANES * VECTORS
"""9 × 3 accumulators, 3 operands and a broadcast fill the 32 registers of AVX-512; 6 × 2, 2, one and a product the 16
of AVX2."""

FLOAT32: Final = 0
BFLOAT16: Final = 1
INT16: Final = 2
INT8: Final = 3
"""What a tile multiplies."""
NARROW: Final = BFLOAT16 if HAS_BFLOAT16 else INT16 if HAS_INT16 else FLOAT32
"""The fastest of them on this processor for rows that are rounded as they are."""
WHOLE: Final = INT8 if HAS_INT8 else INT16 if HAS_INT16 else FLOAT32
"""The fastest of them for rows that are rounded to a lattice of their own (`indexes.lattice`)."""
