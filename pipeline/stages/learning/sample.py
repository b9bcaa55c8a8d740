"""A part's share of the sample that a measure is trained on: the rows with the lowest hash of (uid, seed).

Which rows they are depends on neither parts nor order. A measure that is taught says itself which rows it wants.
Planned by `train`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation import measures
from curation.kernels.uid_hash import hashes
from pipeline import layout
from pipeline.commit import Attempt
from pipeline.execution.work import Json, Work
from pipeline.files.storage import output_errors
from pipeline.passes.part_pass import Pass, pairs
from pipeline.sets.parts import Part, Stored

SIGMAS = 8
"""Standard deviations that the n-th hash may lie beyond its expected place before a sample comes out too small."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What decides a unit's bytes: how many rows of how many are wanted, and the part's rows and vectors.

    Of a measure that is taught, `taught` has its kind and options.
    """

    measure: str
    wanted: int
    rows: int
    seed: int
    part: int
    samples: str
    skip: tuple[int, ...]
    vectors: dict[str, str]
    taught: tuple[str, Json] | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """The part and its vectors, by lane."""

    part: Part
    lanes: dict[str, Stored]


def bound(wanted: int, rows: int) -> int:
    """Find a hash that the `wanted`-th lowest of `rows` will not exceed, by eight standard deviations."""
    if wanted >= rows:
        return 2**64 - 1
    share = wanted / rows
    reach = SIGMAS * math.sqrt(share * (1 - share) / rows) + SIGMAS / rows
    return min(int((share + reach) * 2**64), 2**64 - 1)


def perform(work: Work[Identity, Settings], into: Attempt) -> Json:
    """Take the part's rows below the bound that have every vector."""
    identity, settings = work.identity, work.settings
    wants = _wanted(identity)
    looking = Pass(settings.part, settings.lanes, noted=into.noted)
    uids: list[NDArray[np.uint64]] = [np.empty((0, 2), np.uint64)]
    keys = [np.empty(0, "U1")]
    vectors: dict[str, list[NDArray[np.float16]]] = {
        key: [np.empty((0, stored.files[0].width), np.float16)] for key, stored in settings.lanes.items()
    }
    for rows in looking.blocks():
        found = pairs(rows.table)
        named = rows.table.column("key")
        mask = rows.healthy(list(settings.lanes)) & wants(found, named)
        uids.append(found[mask])
        if identity.taught is not None:
            keys.append(np.array(named.filter(pa.array(mask)).fill_null("").to_pylist(), "U"))
        for key in vectors:
            vectors[key].append(rows.vectors(key, rows.lanes[key].healthy)[mask[rows.lanes[key].healthy]])
    into.noted |= looking.contents()
    relative = layout.training_sample(identity.measure, identity.part)
    arrays: dict[str, NDArray[Any]] = {"uids": np.concatenate(uids), "keys": np.concatenate(keys)}
    arrays |= {key: np.concatenate(found) for key, found in vectors.items()}
    path = into.file(relative)
    with output_errors(path, sum(array.nbytes for array in arrays.values())), path.open("xb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    into.add(relative)
    return {"rows": len(arrays["uids"])}


def _wanted(identity: Identity) -> Callable[[NDArray[np.uint64], Any], NDArray[np.bool_]]:
    """Say which rows are wanted, given their uids and keys."""
    if identity.taught is not None:
        kind, options = identity.taught
        return measures.parse(kind, options, f"measures.{identity.measure}").taught_by
    limit = np.uint64(bound(identity.wanted, identity.rows))
    return lambda uids, _: hashes(uids, identity.seed) <= limit
