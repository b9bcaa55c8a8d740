"""What a split starts from, by the committed files of the splits that it names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.kernels.uid_names import hex_names
from indexes.errors import OutputError
from pipeline import layout
from pipeline.files.parquet import read_parquet
from pipeline.sets.membership import is_member
from pipeline.splits.again.memory import Memory
from pipeline.splits.pool_table import POOL
from pipeline.splits.requests import SplitRequest, UsedSplit
from pipeline.splits.split_columns import SOURCES

Told: TypeAlias = dict[str, tuple[str, str | None]]
"""The set of each uid (32 hex digits), and the caption that it has as a sample of a further set."""


def names_of(out: Path, name: str, file: str = "uids.npy") -> NDArray[Any]:
    """Open a split's `uids.npy` or `sources.npy`.

    Raises:
        OutputError: If it is not there.
    """
    path = out / layout.split(name, file)
    try:
        found: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise OutputError(f"{path} cannot be read: {error}; run the plan again to cut the split") from error
    return found


def starting_mask(memory: Memory, split: SplitRequest, out: Path) -> NDArray[np.bool_]:
    """Return `(n,)`: which rows are in what the split starts from, by uid alone."""
    if split.from_ is None:
        return np.ones(len(memory), bool)
    operation, names = next(iter(split.from_.items()))
    first, *others = (is_member(names_of(out, name), memory.uids) for name in names)
    for other in others:
        first = (
            first | other if operation == "union" else first & (other if operation == "intersect" else ~other)
        )
    return first


def starting_rows(memory: Memory, split: SplitRequest, out: Path) -> Memory:
    """Return what the split starts from, samples of further sets among it."""
    if split.from_ is None or not any(split.sets.get(name) for name in next(iter(split.from_.values()))):
        return memory.where(starting_mask(memory, split, out))
    operation, names = next(iter(split.from_.items()))
    found = _combined(operation, [_told(split.used(name)) for name in names])
    started = memory.where(_from_set(memory, found, POOL))
    for name in sorted({source for source, _ in found.values()} - {POOL}):
        own = memory.offered(name)
        chosen = own.where(_from_set(own, found, name))
        captions = [found[uid][1] for uid in _names(chosen)]
        started = started.with_rows(name, chosen, pa.array(captions, pa.string()))
    return started


def _from_set(memory: Memory, found: Mapping[str, tuple[str, str | None]], name: str) -> NDArray[np.bool_]:
    return np.array([found.get(uid, ("", None))[0] == name for uid in _names(memory)], dtype=bool)


def _names(memory: Memory) -> list[str]:
    return hex_names(memory.uids)


def _told(split: UsedSplit) -> Told:
    columns = ["uid", *((SOURCES, "caption") if split.sets else ())]
    found: Told = {}
    for path in split.parts:
        for row in read_parquet(Path(path), columns=columns).to_pylist():
            source = row.get(SOURCES, POOL)
            found[row["uid"]] = (source, None if source == POOL else row["caption"])
    return found


def _combined(operation: str, told: list[Told]) -> Told:
    first, others = told[0], told[1:]
    if operation == "union":
        return {uid: of for each in reversed(told) for uid, of in each.items()}
    both = operation == "intersect"
    return {uid: of for uid, of in first.items() if all((uid in other) == both for other in others)}
