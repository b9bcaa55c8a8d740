"""Measures of further sets: those that rules read of them, and what these need. The pool's are another stage's.

Such a measure looks at samples one by one: at captions, columns, embeddings of the set's own encoder, or texts. Units
that wait for the same part share one pass over it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Any

from curation.measure import VECTORS
from pipeline import layout
from pipeline.commit import Attempt
from pipeline.execution.context import RunContext, digests
from pipeline.execution.costs import SCORE_BYTES, Cost, Rates, rows_of, width_of
from pipeline.execution.work import Json, Work
from pipeline.measuring import Instance
from pipeline.passes.located import (
    committed_of,
    groups_of,
    inputs_of,
    measured_sets,
    parts_of,
    stored,
    stored_identity,
)
from pipeline.passes.measure_unit import Identity, Other, Settings, of_instance
from pipeline.passes.one_pass import measure_together
from pipeline.passes.part_pass import lane
from pipeline.readers import Shard
from pipeline.sets.parts import Part
from pipeline.stages.texts import phrase

AFTER = ("measure",)


def unit_name(measure: str, name: str) -> str:
    """Call the units that measure the parts of a further set."""
    return f"{measure} of {name}"


def plan(run: RunContext) -> Iterator[list[Work[Any, Any]]]:
    """List the units of every measure of every such set, wave by wave."""
    named = measured_sets(run)
    yield from phrase.wave(run, _own_phrases(run))
    for wave in zip_longest(*named.values(), fillvalue=()):
        yield [
            _work(run, name, one, part, dict(groups_of(run, name))[part.number])
            for name, level in zip(named, wave, strict=True)
            for one in level
            for part in parts_of(run, name)
        ]


def _own_phrases(run: RunContext) -> list[Instance]:
    """List the measures that compare with texts, and are of no pool, where the texts are embedded already."""
    found = {one.name: one for levels in measured_sets(run).values() for level in levels for one in level}
    return [one for name, one in found.items() if one.measure.phrases() and name not in run.instances()]


def _work(
    run: RunContext, name: str, one: Instance, part: Part, shards: list[Shard]
) -> Work[Identity, Settings]:
    beside = {other.name: other for level in measured_sets(run)[name] for other in level}
    lanes = {
        lane(one.encoder, kind): stored(run, name, part.number, shards, one.encoder, kind)
        for kind in one.vectors()
    }
    needs = [need for need in one.measure.requires() if need in beside]
    others = tuple(_located(run, name, beside[need], part) for need in needs)
    read = {
        need: digests([run.record("assess", f"{unit_name(need, name)} {part.number:04d}")]) for need in needs
    }
    identity = of_instance(
        one, part, {key: stored_identity(run, found) for key, found in lanes.items()}, read
    )
    identity = replace(identity, of=name)
    own = tuple(need for need in one.measure.requires() if need not in (*beside, *VECTORS))
    settings = Settings(part, lanes, one.encoder, own, others)
    if one.measure.phrases():
        learned = run.record("phrase", one.name)
        identity = replace(identity, model=digests([learned])[0])
        settings = replace(settings, model=run.path(layout.model(one.name)))
    paths = [
        *(path for other in others for path in other.paths),
        *([settings.model] if settings.model else []),
    ]
    return Work(
        "assess",
        f"{unit_name(one.name, name)} {part.number:04d}",
        identity,
        settings,
        run.place,
        inputs_of(run, lanes.values()),
        (*committed_of(run, part, lanes.values()), *run.outputs(paths)),
        (name, part.number),
        together=f"{name} {part.number}",
        rows=part.counted,
    )


def _located(run: RunContext, name: str, other: Instance, part: Part) -> Other:
    columns = tuple(column.name for column in other.measure.columns())
    path = layout.measure(other.kind, other.name, part.number, name)
    return Other(other.name, (run.path(path),), columns)


def expect(run: RunContext, rates: Rates) -> Cost:
    """Each measure looks at every row of the set; vectors are read once."""
    units = reads = writes = rows = 0
    for name, levels in measured_sets(run).items():
        found = [one for level in levels for one in level]
        kinds = {(one.encoder, kind) for one in found for kind in one.vectors()}
        units += len(found) * len(groups_of(run, name))
        rows += len(found) * rows_of(run, name)
        reads += rows_of(run, name) * (width_of(run) if kinds else 0) * 2 * len(kinds)
        writes += len(found) * rows_of(run, name) * SCORE_BYTES
    texts = [len(one.measure.phrases()) for one in _own_phrases(run)]
    return Cost(units + len(texts), reads, writes, reads / rates.read_bytes, rows + sum(texts))


def perform_many(works: Sequence[Work[Identity, Settings]], attempts: Sequence[Attempt]) -> list[Json]:
    """Measure one part."""
    return measure_together(works, attempts)
