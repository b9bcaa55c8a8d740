"""One GPU for each worker process of this machine.

CUDA shows a process every GPU, and nearfar computes on the first that it sees; so each worker is shown one. Counting
loads neither torch nor CUDA: it looks for the driver's device files, unless CUDA_VISIBLE_DEVICES says which to use.
"""

from __future__ import annotations

import os
from itertools import takewhile
from pathlib import Path

VARIABLE = "CUDA_VISIBLE_DEVICES"
_DEVICES = Path("/dev")


def to_share(device: str) -> list[str]:
    """List the GPUs to share among workers, as CUDA_VISIBLE_DEVICES names them: positions or UUIDs.

    None under `cpu`, and none under `cuda:<number>`, which names one itself.
    """
    if device not in ("auto", "cuda"):
        return []
    named = os.environ.get(VARIABLE)
    if named is None:
        return [str(number) for number in range(_count())]
    # CUDA's own rule: what follows an entry that names no GPU counts for nothing.
    return list(takewhile(_names_a_gpu, (entry.strip() for entry in named.split(","))))


def _count() -> int:
    """Count the GPUs whose device file this process may use; a container or a job may have been given a few."""
    found = (path for path in _DEVICES.glob("nvidia*") if path.name.removeprefix("nvidia").isdecimal())
    return sum(os.access(path, os.R_OK | os.W_OK) for path in found)


def _names_a_gpu(entry: str) -> bool:
    return entry.isdecimal() or entry.startswith(("GPU-", "MIG-"))
