"""Arrays by name in one file, none of them of Python objects."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def read_arrays(path: str | None) -> dict[str, NDArray[Any]]:
    """Read all arrays of an .npz file; none where there is no file to be read."""
    if path is None:
        return {}
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
