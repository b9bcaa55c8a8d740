"""A uid as it stands in tables: 32 hexadecimal digits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def hex_names(uids: NDArray[np.uint64]) -> list[str]:
    """Write `(n, 2)` uids as n texts of 32 lowercase hexadecimal digits."""
    return [f"{high:016x}{low:016x}" for high, low in uids.tolist()]
