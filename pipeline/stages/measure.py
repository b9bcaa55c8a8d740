"""The pool under every measure of the plan: the one expensive pass. It measures and never drops.

Measures come in waves, each after those that it needs. One that learns is trained between two waves: a sample of each
part, one unit that learns, then the parts. Units that wait for the same part are performed together, in one pass over
its rows and vectors; each is a unit of its own, so that a further measure or benchmark costs its own work alone.

Only here may a plan's approximate backend stand in for an exact one. The unit then compares a sample of its answers
with those of the exact engine and records how far off they were, for the report.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from curation.grouped import Grouped
from curation.measures.told._told import ToldMeasure
from indexes.errors import DataError
from indexes.quality import ROWS, SEED
from indexes.search import is_exact
from pipeline import layout
from pipeline.commit import Attempt
from pipeline.execution.context import RunContext, digests, merged_counts
from pipeline.execution.costs import SCORE_BYTES, TEXT_BYTES, Cost, Rates, queries_of, rows_of, width_of
from pipeline.execution.work import Json, Work
from pipeline.measuring import Instance
from pipeline.passes.located import (
    committed_of,
    groups_of,
    inputs_of,
    named_arrays,
    parts_of,
    stored,
    stored_identity,
    wanted_vectors,
)
from pipeline.passes.looked_at import digests_of_other, located_other, others_of, own_columns, unit_name
from pipeline.passes.measure_unit import Identity, Searching, Settings, of_instance
from pipeline.passes.one_pass import SET_ASIDE, measure_together
from pipeline.passes.packed_queries import query_files, query_identity, query_paths
from pipeline.passes.part_pass import lane
from pipeline.readers import Shard
from pipeline.sets.parts import Part
from pipeline.stages.brought import tell
from pipeline.stages.groups import _waves
from pipeline.stages.learning import judge, target, train
from pipeline.stages.texts import phrase

AFTER = ("thresholds",)


def plan(run: RunContext) -> Iterator[list[Work[Any, Any]]]:
    """List the units of every measure, wave by wave."""
    shards, parts = dict(groups_of(run, "pool")), parts_of(run, "pool")
    pool = [(part, shards[part.number]) for part in parts]
    looked_at = [encoder for encoder, kinds in wanted_vectors(run)["pool"].items() if "image" in kinds]
    first = [_set_aside(run, part, found, encoder) for encoder in looked_at for part, found in pool]
    for level in run.levels():
        yield from train.waves(run, [one for one in level if one.measure.sample_rows()], pool)
        yield from judge.wave(run, [one for one in level if one.measure.judges()])
        yield from target.waves(run, [one for one in level if one.measure.summarises()])
        yield from tell.wave(run, level)
        yield from phrase.wave(run, [one for one in level if one.measure.phrases()])
        yield from _waves.before(run, [one for one in level if isinstance(one.measure, Grouped)], pool)
        yield [*first, *(_work(run, one, part, found) for one in level for part, found in pool)]
        if first:
            _refuse_nothing(run, looked_at, parts)
        first = []


def _refuse_nothing(run: RunContext, encoders: Sequence[str], parts: Sequence[Part]) -> None:
    """Stop where no vector of the pool can be compared: every query would be called clean.

    Raises:
        DataError: If all rows of the pool were set aside.
    """
    usable = sum(part.counted for part in parts)
    for encoder in encoders:
        found = [
            run.record("measure", unit_name(f"{SET_ASIDE} {encoder}", part.number)).facts for part in parts
        ]
        lost = merged_counts([facts["quarantined"] for facts in found])
        if sum(lost.values()) >= usable:
            reasons = ", ".join(f"{count:,} {reason}" for reason, count in lost.items() if count)
            raise DataError(
                f"pool ({run.plan.pool.path}) has no usable vector ({reasons}); an audit of nothing would find "
                "nothing, so the run stops: check its files"
            )


def _set_aside(run: RunContext, part: Part, shards: list[Shard], encoder: str) -> Work[Identity, Settings]:
    """List the rows of a part whose image vector cannot be compared: they take no part in any split."""
    found = stored(run, "pool", part.number, shards, encoder, "image")
    key = lane(encoder, "image")
    vectors = {key: stored_identity(run, found)}
    identity = Identity(SET_ASIDE, encoder, {}, 1, part.number, part.digest, part.skip, vectors)
    return _of_part(run, identity, Settings(part, {key: found}, encoder), f"{SET_ASIDE} {encoder}")


def _of_part(run: RunContext, identity: Identity, settings: Settings, name: str) -> Work[Identity, Settings]:
    part = settings.part
    return Work(
        "measure",
        unit_name(name, part.number),
        identity,
        settings,
        run.place,
        inputs_of(run, settings.lanes.values()),
        (*committed_of(run, part, settings.lanes.values()), *run.outputs(_beside(settings))),
        ("pool", part.number),
        together=str(part.number),
        rows=part.counted,
    )


def _beside(settings: Settings) -> list[str]:
    """List the committed files that a measure looks at beside the part's rows and vectors."""
    found = [path for other in settings.others for path in other.paths]
    found += query_paths(settings.queries) if settings.queries is not None else []
    found += [path for path in (settings.model, settings.summary) if path is not None]
    return found + (list(settings.results.paths) if settings.results is not None else [])


def _work(run: RunContext, one: Instance, part: Part, shards: list[Shard]) -> Work[Identity, Settings]:
    if isinstance(one.measure, Grouped):
        return _of_part(run, *_waves.gathered(run, one, part), one.name)
    kinds = one.vectors(named_arrays(run))
    lanes = {
        lane(one.encoder, kind): stored(run, "pool", part.number, shards, one.encoder, kind) for kind in kinds
    }
    needs = others_of(run, one)
    others = tuple(located_other(run, need, part) for need in needs)
    beside = {need: digests_of_other(run, need, part) for need in needs}
    if isinstance(one.measure, ToldMeasure):
        said, digest = tell.told_part(run, one.measure, part)
        others, beside = (*others, said), beside | {said.need: [digest]}
    settings = Settings(part, lanes, one.encoder, own_columns(run, one), others)
    vectors = {key: stored_identity(run, found) for key, found in lanes.items()}
    identity = of_instance(one, part, vectors, beside)
    if one.measure.summarises():
        summed = digests([run.record("target", one.name)])[0]
        identity = replace(identity, target=summed)
        settings = replace(settings, summary=run.path(layout.target_summary(one.name)))
    elif one.target is not None:
        files = query_files(run, one.target, thresholds=False)
        identity, settings = replace(identity, target=files.index), replace(settings, queries=files)
    if one.searches:
        files, engine = query_files(run, one.name, thresholds=True), run.plan.engine
        sampled = None if is_exact(engine.backend) else (ROWS, SEED)
        k, options = run.plan.neighbours, dict(engine.options)
        searching = Searching(query_identity(files), k, engine.backend, options, sampled)
        identity, settings = replace(identity, searching=searching), replace(settings, queries=files)
    if one.measure.sample_rows() or one.measure.phrases():
        learned = run.record("train" if one.measure.sample_rows() else "phrase", one.name)
        identity = replace(identity, model=digests([learned])[0])
        settings = replace(settings, model=run.path(layout.model(one.name)))
    return _of_part(run, identity, settings, one.name)


def expect(run: RunContext, rates: Rates) -> Cost:
    """Every vector of the pool is read once and compared with every query; every measure writes its columns."""
    parts, rows = len(groups_of(run, "pool")), rows_of(run, "pool")
    looked_at = wanted_vectors(run)["pool"]
    width = width_of(run) if looked_at else 0
    samples = [one.measure.sample_rows() for one in run.instances().values() if one.measure.sample_rows()]
    texts = [len(one.measure.phrases()) for one in run.instances().values() if one.measure.phrases()]
    summing = sum(one.measure.summarises() for one in run.instances().values())
    judging = sum(len(one.measure.judges()) for one in run.instances().values())
    aside = sum("image" in kinds for kinds in looked_at.values())
    passes = len(run.instances()) + aside + len(samples)
    units = parts * passes + len(samples) + len(texts) + summing + judging
    reads = rows * width * 2 * sum(len(kinds) for kinds in looked_at.values())
    writes = rows * (TEXT_BYTES // 4 + SCORE_BYTES) * len(run.instances())
    seconds = rows * queries_of(run) * width / rates.products + reads / rates.read_bytes
    counted = rows * passes + sum(samples) + sum(texts)
    for more in (_waves.expect(run, rates), tell.expect(run, rates)):
        units, reads, writes = units + more.units, reads + more.reads, writes + more.writes
        seconds, counted = seconds + (more.seconds or 0.0), counted + more.rows
    return Cost(units, reads, writes, seconds, counted)


def perform_many(works: Sequence[Work[Identity, Settings]], attempts: Sequence[Attempt]) -> list[Json]:
    """Measure one part; what whole groups gave is gathered beside it."""
    tried = list(zip(works, attempts, strict=True))
    facts = {work.name: _waves.gather(work, into) for work, into in tried if work.settings.results}
    rest = [(work, into) for work, into in tried if not work.settings.results]
    if rest:
        found = measure_together([work for work, _ in rest], [into for _, into in rest])
        facts |= {work.name: each for (work, _), each in zip(rest, found, strict=True)}
    return [facts[work.name] for work in works]
