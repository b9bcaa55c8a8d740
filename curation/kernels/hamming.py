"""Hashes that differ in few bits, and what they connect."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from indexes.errors import DataError

BITS = 64


def read_hashes(values: Any, name: str) -> NDArray[np.uint64]:
    """Read `(n,)` hashes of 64 bits, none NULL: integers, or texts of 16 hexadecimal digits as imagehash writes.

    Raises:
        DataError: If they are neither.
    """
    if pa.types.is_integer(values.type):
        return (
            np.asarray(values.to_numpy(zero_copy_only=False))
            .astype(np.int64 if _signed(values) else np.uint64)
            .view(np.uint64)
        )
    texts = values.to_pylist()
    for text in texts:
        if not isinstance(text, str) or len(text) != BITS // 4 or set(text.lower()) - set("0123456789abcdef"):
            raise DataError(
                f"'{name}' holds {text!r}, but a hash is a 64-bit integer or a text of 16 hexadecimal digits, such as "
                "str(imagehash.phash(image)); for other texts leave bits at 0, which takes equal ones together"
            )
    return np.array([int(text, 16) for text in texts], np.uint64)


def _signed(values: Any) -> bool:
    return bool(pa.types.is_signed_integer(values.type))


def components(hashes: NDArray[np.uint64], bits: int) -> NDArray[np.int64]:
    """Number the connected components of hashes, where two are connected if they differ in at most `bits` bits.

    Args:
        hashes: `(n,)` uint64.
        bits: 0 to 64.

    Returns:
        `(n,)` for each the component's first row.
    """
    unique, first, back = np.unique(hashes, return_index=True, return_inverse=True)
    label = np.full(len(unique), -1, np.int64)
    left = np.arange(len(unique))
    while len(left):
        reached, found = [int(left[0])], [left[:1]]
        left = left[1:]
        while reached:
            near = np.bitwise_count(unique[left] ^ unique[reached.pop()]) <= bits
            reached += left[near].tolist()
            found.append(left[near])
            left = left[~near]
        members = np.concatenate(found)
        label[members] = first[members].min()
    return np.asarray(label[back])
