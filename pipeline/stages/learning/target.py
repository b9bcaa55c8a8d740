"""What a measure takes of its target's queries, once for the whole pool. Planned by `measure`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from curation import measures
from curation.measure import query_vectors
from pipeline import layout
from pipeline.commit import Attempt
from pipeline.execution.context import RunContext, digests
from pipeline.execution.work import Json, Work
from pipeline.files.arrays import read_arrays
from pipeline.files.storage import output_errors
from pipeline.measuring import Instance
from pipeline.passes.packed_queries import QueryFiles, query_files, query_paths, scan_options, whole_queries


@dataclass(frozen=True, slots=True)
class Identity:
    """What decides a unit's bytes: the measure with its options, what it learned, and the target's queries."""

    kind: str
    name: str
    options: Json
    version: int
    model: str | None
    target: str


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the model and the queries lie."""

    model: str | None
    queries: QueryFiles


def waves(run: RunContext, looking: Sequence[Instance]) -> Iterator[list[Work[Any, Any]]]:
    """Plan one wave: a unit for each measure that summarises its target."""
    yield [_work(run, one, one.target) for one in looking if one.target is not None]


def _work(run: RunContext, one: Instance, target: str) -> Work[Identity, Settings]:
    files, model, path = query_files(run, target, thresholds=False), None, None
    if one.measure.sample_rows():
        model, path = digests([run.record("train", one.name)])[0], run.path(layout.model(one.name))
    options = measures.dump(one.measure)
    identity = Identity(one.kind, one.name, options, one.measure.version, model, files.index)
    committed = run.outputs([*query_paths(files), *([] if path is None else [path])])
    return Work("target", one.name, identity, Settings(path, files), run.place, committed=committed)


def perform(work: Work[Identity, Settings], into: Attempt) -> Json:
    """Hand the measure its target, and keep what it makes of it."""
    identity, settings = work.identity, work.settings
    measure = measures.parse(identity.kind, identity.options, f"measures.{identity.name}")
    vectors = query_vectors(whole_queries(settings.queries))
    found = measure.summary(vectors, read_arrays(settings.model), scan_options(work.place, k=1))
    relative = layout.target_summary(identity.name)
    path = into.file(relative)
    with output_errors(path, sum(array.nbytes for array in found.values())), path.open("xb") as file:
        np.savez(file, allow_pickle=False, **dict(found))
    into.add(relative)
    return {"queries": len(vectors)}
