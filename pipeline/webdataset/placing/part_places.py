"""Where the members of many samples lie, as columns: what tars of the ordinary kind give without a step for each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Self, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.readers._tars.ordinary_tars import OrdinaryTar, ordinary
from pipeline.readers._tars.tar_members import opened
from pipeline.webdataset.placing.sample_places import Placed, TarPath, placed, spelled, wanted_at_once

Integers: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Places:
    """Samples of a part, in the order of its rows.

    Attributes:
        row: `(n,)` the row of the part that each is.
        tar: `(n,)` position in `tars`.
        tars: What the set calls its tars, or image files.
        kinds: What members are: `jpg`, `json`, ….
        begins: `(n + 1,)` the first member of each sample, and the number of all.
        kind: `(members,)` position in `kinds`.
        offset: `(members,)` the first byte of each.
        size: `(members,)` bytes of each.
    """

    row: Integers
    tar: Integers
    tars: list[str]
    kinds: list[str]
    begins: Integers
    kind: Integers
    offset: Integers
    size: Integers

    @classmethod
    def of(cls, samples: Iterable[Placed]) -> Self:
        """Lay out samples that were placed one by one."""
        found = list(samples)
        tars = list(dict.fromkeys(one.tar.name for one in found))
        members = [(kind, span) for one in found for kind, span in one.sample.members.items()]
        kinds = list(dict.fromkeys(kind for kind, _ in members))
        number, position = ({name: at for at, name in enumerate(names)} for names in (tars, kinds))
        return cls(
            np.array([one.row for one in found], np.int64),
            np.array([number[one.tar.name] for one in found], np.int64),
            tars,
            kinds,
            np.cumsum([0, *(len(one.sample.members) for one in found)]),
            np.array([position[kind] for kind, _ in members], np.int64),
            np.array([span.offset for _, span in members], np.int64),
            np.array([span.size for _, span in members], np.int64),
        )

    def taken(self, which: Integers) -> Self:
        """Take some samples, one perhaps several times."""
        counts = np.diff(self.begins)[which]
        begins = np.concatenate([[0], np.cumsum(counts)])
        members = np.arange(begins[-1]) + np.repeat(self.begins[which] - begins[:-1], counts)
        return type(self)(
            self.row[which],
            self.tar[which],
            self.tars,
            self.kinds,
            begins,
            self.kind[members],
            self.offset[members],
            self.size[members],
        )

    def have(self, kind: str) -> NDArray[np.bool_]:
        """Tell which samples have a member of a kind."""
        if kind not in self.kinds:
            return np.zeros(len(self.row), np.bool_)
        sample = np.repeat(np.arange(len(self.row)), np.diff(self.begins))
        return np.bincount(sample[self.kind == self.kinds.index(kind)], minlength=len(self.row)) > 0

    def columns(self) -> dict[str, pa.Array]:
        """Write down where they lie, as `LOCATED` has it."""
        begins = pa.array(self.begins.astype(np.int32))
        lists = {
            "kinds": pa.array(self.kinds, pa.string()).take(pa.array(self.kind)),
            "offsets": pa.array(self.offset),
            "sizes": pa.array(self.size),
        }
        tars = pa.array(map(spelled, self.tars), pa.string()).take(pa.array(self.tar))
        return {"tar": tars} | {name: pa.ListArray.from_arrays(begins, one) for name, one in lists.items()}


def places_in_tars(
    keys: Sequence[str | None], sha256: Sequence[str | None], tars: Sequence[TarPath], whole: bool = False
) -> Places:
    """Put a part's rows to the samples of its tars; arguments and errors as of `placed`."""
    found = _all_ordinary(tars, whole)
    rows = None if found is None else _rows(keys, [one.keys for one in found])
    if found is None or rows is None:
        return Places.of(placed(keys, sha256, tars, whole))
    kinds = list(dict.fromkeys(chain.from_iterable(one.kinds for one in found)))
    counts = [np.diff(one.begins) for one in found]
    every = Places(
        rows,
        np.repeat(np.arange(len(tars)), [len(one.keys) for one in found]),
        [tar.name for tar in tars],
        kinds,
        np.concatenate([[0], np.cumsum(np.concatenate(counts))]),
        np.concatenate([np.array([kinds.index(kind) for kind in one.kinds])[one.kind] for one in found]),
        np.concatenate([one.offset for one in found]),
        np.concatenate([one.size for one in found]),
    )
    return every.taken(np.flatnonzero(rows >= 0))


def _all_ordinary(tars: Sequence[TarPath], whole: bool) -> list[OrdinaryTar] | None:
    found = []
    for tar in tars:
        with opened(tar.path) as file:
            wanted_at_once(file, whole)
            one = ordinary(file.fileno())
        if one is None:
            return None
        found.append(one)
    return found or None


def _rows(keys: Sequence[str | None], found: list[list[str]]) -> Integers | None:
    """Say which row each sample is, -1 for none; None where that takes more than its key, or a row has no sample."""
    samples = list(chain.from_iterable(found))
    if samples == keys:
        return np.arange(len(samples))
    rows, at = np.full(len(samples), -1), 0
    for place, key in enumerate(samples):
        if at < len(keys) and key == keys[at]:
            rows[place] = at
            at += 1
        elif at and key == keys[at - 1]:
            return None
    return rows if at == len(keys) else None
