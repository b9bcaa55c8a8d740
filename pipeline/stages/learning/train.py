"""What a measure learns from a sample of the pool, once for the whole pool. Planned by `measure`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curation import measures
from curation.kernels.uid_hash import hashes
from curation.measure import QUERIES, Block
from indexes.errors import DataError, PlanError
from pipeline import layout
from pipeline.commit import Attempt
from pipeline.execution.context import RunContext, digests, paths
from pipeline.execution.work import Json, Work
from pipeline.files.storage import output_errors
from pipeline.measuring import Instance
from pipeline.passes.located import committed_of, inputs_of, named_arrays, stored, stored_identity
from pipeline.passes.packed_queries import scan_options
from pipeline.passes.part_pass import lane
from pipeline.readers import Shard
from pipeline.sets.parts import Part
from pipeline.stages.learning import sample

SEED = 0


@dataclass(frozen=True, slots=True)
class Identity:
    """What decides a unit's bytes: the measure with its options, and each part's share of the sample."""

    kind: str
    name: str
    options: Json
    version: int
    samples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """The files of the shares, and whose vectors they hold."""

    samples: tuple[str, ...]
    encoder: str


def waves(
    run: RunContext, learning: Sequence[Instance], pool: Sequence[tuple[Part, list[Shard]]]
) -> Iterator[list[Work[Any, Any]]]:
    """Plan two waves where something is to be learned: a sample of every part, then the learning."""
    if not learning:
        return
    yield [_share(run, one, part, shards, _rows(pool)) for one in learning for part, shards in pool]
    yield [_work(run, one) for one in learning]


def _rows(pool: Sequence[tuple[Part, list[Shard]]]) -> int:
    return sum(part.counted for part, _ in pool)


def _share(
    run: RunContext, one: Instance, part: Part, shards: list[Shard], rows: int
) -> Work[sample.Identity, sample.Settings]:
    kinds = one.vectors(named_arrays(run))
    # A target is looked at when samples are measured, not when the measure learns.
    known = (*kinds, f"{QUERIES}:{one.target}")
    others = [need for need in one.measure.requires() if need not in known]
    if others:
        raise PlanError(
            f"the measure {one.name} is trained on vectors, and also needs {', '.join(others)}; a measure that learns "
            "looks at vectors alone. Split it in two"
        )
    lanes = {
        lane(one.encoder, kind): stored(run, "pool", part.number, shards, one.encoder, kind) for kind in kinds
    }
    vectors = {key: stored_identity(run, found) for key, found in lanes.items()}
    wanted = one.measure.sample_rows()
    taught = (one.kind, measures.dump(one.measure.learns())) if one.measure.taught else None
    # What is taught does not depend on how large the pool is.
    of = (0, 0) if taught is not None else (wanted, rows)
    identity = sample.Identity(one.name, *of, SEED, part.number, part.digest, part.skip, vectors, taught)
    settings = sample.Settings(part, lanes)
    return Work(
        "sample",
        f"{one.name} {part.number:04d}",
        identity,
        settings,
        run.place,
        inputs_of(run, lanes.values()),
        committed_of(run, part, lanes.values()),
        ("pool", part.number),
        rows=part.counted,
    )


def _work(run: RunContext, one: Instance) -> Work[Identity, Settings]:
    shares = run.part_records("sample", one.name)
    options, under = measures.dump(one.measure.learns()), layout.folder(layout.training_sample(one.name, 0))
    identity = Identity(one.kind, one.name, options, one.measure.version, tuple(digests(shares, under)))
    samples, rows = run.outputs(paths(shares, under)), one.measure.sample_rows()
    settings = Settings(tuple(run.path(sample.path) for sample in samples), one.encoder)
    return Work("train", one.name, identity, settings, run.place, committed=samples, rows=rows)


def perform(work: Work[Identity, Settings], into: Attempt) -> Json:
    """Put the shares together, in the order of the uids, and let the measure learn."""
    identity = work.identity
    measure = measures.parse(identity.kind, identity.options, f"measures.{identity.name}")
    block = _sample(work, None if measure.taught else measure.sample_rows())
    if not len(block):
        raise DataError(
            f"{identity.name} has nothing to learn from: no sample of the pool has a comparable vector"
        )
    model = measure.train(block, scan_options(work.place, k=1))
    relative = layout.model(identity.name)
    path = into.file(relative)
    with output_errors(path, sum(array.nbytes for array in model.values())), path.open("xb") as file:
        np.savez(file, allow_pickle=False, **dict(model))
    into.add(relative)
    return {"rows": len(block)}


def _sample(work: Work[Identity, Settings], wanted: int | None) -> Block:
    """Take the rows with the lowest hashes; all of them where none are wanted."""
    shares = []
    for path in work.settings.samples:
        with np.load(Path(path), allow_pickle=False) as arrays:
            shares.append({name: arrays[name] for name in arrays.files})
    uids = np.concatenate([share["uids"] for share in shares])
    lowest = np.argsort(hashes(uids, SEED), kind="stable")[:wanted]
    order = lowest[np.lexsort((uids[lowest, 1], uids[lowest, 0]))]
    prefix = len(f"{work.settings.encoder} ")
    lanes = [name for name in shares[0] if name not in ("uids", "keys")]
    vectors = {key[prefix:]: np.concatenate([share[key] for share in shares])[order] for key in lanes}
    if wanted is not None:
        return Block(uids[order], vectors)
    keys = np.concatenate([share["keys"] for share in shares])[order]
    return Block(uids[order], vectors, {"key": pa.array(keys.tolist(), pa.string())})
