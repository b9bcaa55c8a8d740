"""Sums over the vectors of some parts, for the pool, each split and a random sample of its size. Planned by `spectrum`.

One pass over the vectors serves all of them. Sums are exact, so that it does not matter which parts stand together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.kernels.exact_moments import Moments
from curation.kernels.uid_hash import hashes
from pipeline import layout
from pipeline.commit import Attempt
from pipeline.execution.work import Json, Work
from pipeline.files.storage import output_errors
from pipeline.passes.part_pass import Pass, pairs
from pipeline.sets.membership import is_member
from pipeline.sets.parts import Part, Stored
from pipeline.stages.surviving import kept_uids

SEED, DRAW_SEED = 0, 1
DRAWN = 1024
"""Rows of each population, those with the lowest hashes, between which distances are looked at."""


@dataclass(frozen=True, slots=True)
class Population:
    """Some samples of the pool.

    Attributes:
        name: `pool`, a split, or `random NAME`, a sample of that split's size.
        split: The split whose samples they are; empty for others.
        below: They are those whose hash of (uid, seed) is at most this; None takes all.
        drawn: Rows with a hash by another seed of at most this are kept as they are.
    """

    name: str
    split: str
    below: int | None
    drawn: int


@dataclass(frozen=True, slots=True)
class Identity:
    """What decides a unit's bytes: the populations, the splits' uids and sets, and the parts' rows and vectors."""

    populations: tuple[Population, ...]
    splits: dict[str, list[str]]
    sets: dict[str, list[str]]
    rows: tuple[str, ...]
    skip: tuple[tuple[int, ...], ...]
    vectors: tuple[dict[str, str], ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """The parts with their vectors by lane."""

    number: int
    parts: tuple[tuple[Part, dict[str, Stored]], ...]


class _Sums:
    """A population's sums, and the rows of it that are kept."""

    def __init__(self, population: Population, width: int, kept: Mapping[str, Any]) -> None:
        self._population = population
        self._kept = kept.get(population.split)
        self._moments = Moments(width)
        self._uids = [np.empty((0, 2), np.uint64)]
        self._rows = [np.empty((0, width), np.float16)]

    def add(self, uids: NDArray[np.uint64], rows: NDArray[np.float16]) -> None:
        """Add the rows that are of the population."""
        mask = np.ones(len(uids), bool) if self._kept is None else is_member(self._kept, uids)
        if self._population.below is not None:
            mask &= hashes(uids, SEED) <= np.uint64(self._population.below)
        self._moments.add(rows[mask])
        mask &= hashes(uids, DRAW_SEED) <= np.uint64(self._population.drawn)
        self._uids.append(uids[mask])
        self._rows.append(rows[mask])

    def arrays(self) -> dict[str, NDArray[Any]]:
        drawn: dict[str, NDArray[Any]] = {
            "uids": np.concatenate(self._uids),
            "rows": np.concatenate(self._rows),
        }
        return self._moments.arrays() | drawn


def perform(work: Work[Identity, Settings], into: Attempt) -> Json:
    """Add up the vectors of the parts; a row that lacks one of them is left out."""
    identity, settings = work.identity, work.settings
    kept = {name: kept_uids(work.place, name, sets, "pool") for name, sets in identity.sets.items()}
    lanes = list(settings.parts[0][1])
    width = sum(found.files[0].width for found in settings.parts[0][1].values())
    sums = [_Sums(population, width, kept) for population in identity.populations]
    for part, found in settings.parts:
        looking = Pass(part, found, noted=into.noted)
        for block in looking.blocks():
            mask = block.healthy(lanes)
            rows = np.concatenate([block.vectors(name, mask) for name in lanes], axis=1)
            uids = pairs(block.table)[mask]
            for each in sums:
                each.add(uids, rows)
        into.noted |= looking.contents()
    held = {f"{n} {name}": array for n, each in enumerate(sums) for name, array in each.arrays().items()}
    relative = layout.moments(settings.number)
    path = into.file(relative)
    with output_errors(path, sum(array.nbytes for array in held.values())), path.open("xb") as file:
        np.savez(file, allow_pickle=False, **held)
    into.add(relative)
    return {"widths": [found.files[0].width for found in settings.parts[0][1].values()]}
