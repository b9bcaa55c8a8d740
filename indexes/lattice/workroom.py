"""Arrays that a thread uses again.

For a group of a thousand rows, asking the system for memory would cost as much as the work itself.
"""

from __future__ import annotations

import threading
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_LINE: Final = 64
_MOST: Final = 5 << 20
"""Bytes up to which an array is kept for the thread's next call."""
_KEPT = threading.local()


def array(use: str, shape: tuple[int, ...], kind: Any) -> NDArray[Any]:
    """Give an array `(shape)` of any content that begins at a cache line.

    Args:
        use: What it is for: it is valid until the thread asks for one of the same use again. Empty for one that its
            holder keeps as long as it likes.
        shape: Its shape.
        kind: Its type.
    """
    wanted = int(np.prod(shape)) * np.dtype(kind).itemsize
    raw: NDArray[np.uint8] | None = getattr(_KEPT, use, None) if use else None
    if raw is None or len(raw) < wanted + _LINE:
        raw = np.empty(wanted + _LINE, np.uint8)
        if use and wanted <= _MOST:
            setattr(_KEPT, use, raw)
    start = -raw.ctypes.data % _LINE
    found: NDArray[Any] = raw[start : start + wanted].view(kind).reshape(shape)
    return found
