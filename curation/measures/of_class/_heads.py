"""Text heads: one vector a class, as zero-shot classifiers keep them in a file."""

from __future__ import annotations

import hashlib
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from indexes.canonical import REASONS, canonical
from indexes.errors import PlanError

KINDS = ".npy, .npz or .safetensors"


def head_digest(path: str, where: str) -> str:
    """Hash a head's file: sha256, 64 hex digits.

    Raises:
        PlanError: If it cannot be read.
    """
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise PlanError(
            f"{where} is {path!r}, which cannot be read ({error.strerror}); give the path of a text head, a file in "
            f"{KINDS}"
        ) from None


@lru_cache(maxsize=4)
def text_head(path: str, digest: str, classes: int, where: str) -> NDArray[np.float16]:
    """Read a head, and bring its vectors to unit norm.

    Args:
        path: A file that holds one array, `(C, d)` or `(d, C)`, floating point.
        digest: Of the file, so that one that changed is read again.
        classes: C, how many classes there are.
        where: Place in the plan, for messages.

    Returns:
        `(C, d)` float16 of unit norm, in the order of the classes.

    Raises:
        PlanError: If the file holds no such array, or a class's vector has no direction.
    """
    found = _array(path, where)
    if found.ndim != 2 or classes not in found.shape:
        raise PlanError(
            f"{where} is {path!r}, which holds an array of shape {found.shape}; a text head has one vector for each of "
            f"the {classes:,} classes of names: ({classes}, width) or (width, {classes})"
        )
    if found.shape == (classes, classes):
        raise PlanError(
            f"{where} is {path!r}, which is {classes} x {classes}: nothing says which side counts the classes. Give "
            "names with another number of classes, or another head"
        )
    if not np.issubdtype(found.dtype, np.floating):
        raise PlanError(f"{where} is {path!r}, which holds {found.dtype}; a text head holds floating point")
    # Brought to length first: a head may be float64, or longer than float16 reaches.
    rows = np.asarray(found if found.shape[0] == classes else found.T, np.float64)
    scale = np.max(np.abs(rows), axis=1, keepdims=True)
    units = canonical(rows / np.where(np.isfinite(scale) & (scale > 0), scale, 1.0))
    if not units.healthy.all():
        first = int(np.argmin(units.healthy))
        raise PlanError(
            f"{where} is {path!r}, whose vector of class {first} is {REASONS[units.reasons[first]]}; every class "
            "needs a vector with a direction"
        )
    return units.vectors


def _array(path: str, where: str) -> NDArray[Any]:
    """Read the one array of a file."""
    try:
        held = _arrays(path)
    except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile, SafetensorError) as error:
        raise PlanError(
            f"{where} is {path!r}, which is no array ({str(error)[:200]}); a text head is a file in {KINDS}"
        ) from None
    if len(held) != 1:
        raise PlanError(
            f"{where} is {path!r}, which holds {len(held)} arrays ({', '.join(sorted(held)[:10])}); a text head is one "
            "array alone"
        )
    return next(iter(held.values()))


def _arrays(path: str) -> dict[str, NDArray[Any]]:
    kind = Path(path).suffix.lower()
    if kind == ".safetensors":
        return dict(load_file(path))
    if kind == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    if kind == ".npy":
        # Mapped: a header that claims more than the file holds is then refused before memory is asked for.
        return {"the array": np.load(path, mmap_mode="r", allow_pickle=False)}
    raise ValueError(f"its name ends in {kind!r}")
