"""A uid's place in a random order: a hash of it and a seed, the same on every machine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def hashes(uids: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """Hash `(n, 2)` uids: splitmix64 of both halves and the seed, evenly spread over 64 bits."""
    return _mix(uids[:, 0] ^ _mix(uids[:, 1] ^ _mix(np.full(len(uids), seed, dtype=np.uint64))))


def _mix(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    with np.errstate(over="ignore"):
        value = value + np.uint64(0x9E3779B97F4A7C15)
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
