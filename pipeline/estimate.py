"""What a plan would do and cost: units, bytes, and seconds from a measured probe of one shard. Touches nothing."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.canonical import canonical
from indexes.queries import Queries
from indexes.search import ScanOptions, open_scanner
from pipeline.commit import find, records
from pipeline.execution.context import RunContext
from pipeline.execution.costs import Rates
from pipeline.execution.work import Work, bytes_read, stage_module
from pipeline.files.afar.stand_ins import length_of
from pipeline.files.digests import sha256_of
from pipeline.files.vectors import blocks
from pipeline.incoming.looked_ahead import check_ahead
from pipeline.measuring import encoder_name
from pipeline.passes.located import embeds_while_reading
from pipeline.passes.reading import cached_encoder, embed_images
from pipeline.plan import Plan, check_sources, check_weights
from pipeline.readers import Shard, open_reader
from pipeline.run import RunOptions, encoders_of, open_run, standing, waves
from pipeline.stages import stage_names
from pipeline.stores.held_files import held

# Enough to be past warm-up, small enough to wait for.
PROBE_IMAGES, PROBE_ROWS, PROBE_QUERIES = 128, 4096, 1024


@dataclass(frozen=True, slots=True)
class StageEstimate:
    """One stage of a plan.

    Attributes:
        stage: Its name.
        units: Units in all; `done` of them need nothing.
        done: Units that stand already.
        rows: Rows that the others look at; a row counts once for each of them.
        reads: Bytes still to read.
        writes: Bytes still to write, roughly.
        seconds: Time still to spend, from the probe; None where none was measured.
        exact: Whether a run does just these units. Of a stage whose units depend on what earlier ones find, that can
            be told only when those are done: then some that are counted here may stand, or others come to them.
    """

    stage: str
    units: int
    done: int = 0
    rows: int = 0
    reads: int = 0
    writes: int = 0
    seconds: float | None = None
    exact: bool = True

    @property
    def todo(self) -> int:
        """Units to do."""
        return self.units - self.done


@dataclass(slots=True)
class Seen:
    """The units of one stage that could be planned: how many there are, how many stand, and the others."""

    units: int = 0
    rows: int = 0
    reads: int = 0
    todo: list[Work[Any, Any]] = field(default_factory=list)
    wave: int = 0
    """Units of the last wave, to which those that are to do belong."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """What of a plan stands, as far as its stages can be planned without doing anything.

    Attributes:
        seen: What was planned, by stage; the last one is where something is to be done, if anything is.
        at: That stage; None where all is done.
    """

    seen: dict[str, Seen]
    at: str | None


def estimate(plan: Plan, options: RunOptions) -> tuple[list[StageEstimate], Rates | None]:
    """Say what a run of the plan would do, and at which rates; none where there is nothing to do.

    Raises:
        NearfarError: What `run` would refuse, in the same words.
    """
    check_sources(plan)
    run = open_run(plan, options)
    check_ahead(run)
    ahead = look_ahead(run)
    rates = None if ahead.at is None else probe(run, options, _embeds(run, ahead))
    return [stage_ahead(run, stage, ahead, rates, options.workers or 1) for stage in stage_names()], rates


def look_ahead(run: RunContext, unread: bool = False) -> Ahead:
    """Plan wave after wave, up to the first that is not done.

    Args:
        run: A plan, of which nothing has been planned yet.
        unread: Count a unit that is done even where it is not known whether its inputs are what they were.

    Raises:
        DataError: If the weights of an encoder are not there that something is to be embedded by.
    """
    seen: dict[str, Seen] = {}
    for stage, wave in waves(run):
        known = run.known(one for work in wave for one in work.inputs)
        contents: dict[int, str | None] = {}
        found = {
            work.name: find(run.out, work.unit()) if unread else standing(run, work, known, contents)
            for work in wave
        }
        at = seen.setdefault(stage, Seen())
        at.units, at.wave = at.units + len(wave), len(wave)
        at.rows, at.reads = at.rows + sum(work.rows for work in wave), at.reads + bytes_read(wave)
        at.todo = [work for work in wave if found[work.name] is None]
        for record in found.values():
            if record is None:
                check_weights(run.plan, set() if unread else encoders_of(at.todo))
                return Ahead(seen, stage)
            run.finish(record)
    return Ahead(seen, None)


def stage_ahead(
    run: RunContext, stage: str, ahead: Ahead, rates: Rates | None, workers: int
) -> StageEstimate:
    """Say what is left of one stage: exactly where it was planned, else by what it costs in all."""
    seen, names = ahead.seen.get(stage, Seen()), stage_names()
    if rates is None or ahead.at is None or names.index(stage) < names.index(ahead.at):
        return StageEstimate(stage, seen.units, seen.units)
    cost = stage_module(stage).expect(run, rates)
    done = seen.units - len(seen.todo)
    units = max(cost.units, seen.units)
    rows, reads = sum(work.rows for work in seen.todo), bytes_read(seen.todo)
    if cost.units > seen.units:
        rows += max(0, cost.rows - seen.rows)
        reads += max(0, cost.reads - seen.reads)
    left = (units - done) / units if units else 0.0
    seconds = None if cost.seconds is None else cost.seconds * left / workers
    exact = cost.known and (cost.units <= seen.units or not _may_stand(run, stage, seen))
    return StageEstimate(stage, units, done, rows, reads, int(cost.writes * left), seconds, exact)


def _may_stand(run: RunContext, stage: str, seen: Seen) -> bool:
    """Say whether a stage left units behind that could not be planned yet: they stand, or are of another plan."""
    planned = {*run.done.get(stage, {}), *(work.name for work in seen.todo)}
    return any(record.name not in planned for record in records(run.out, stage))


def _embeds(run: RunContext, ahead: Ahead) -> bool:
    """Say whether something is left to embed."""
    if ahead.at is None or encoders_of(ahead.seen[ahead.at].todo):
        return ahead.at is not None
    later = stage_names().index("embed") > stage_names().index(ahead.at)
    return later and stage_module("embed").expect(run, Rates(1.0, None, 1.0)).units > 0


def probe(run: RunContext, options: RunOptions, embeds: bool) -> Rates:
    """Measure this machine on the first shard of the pool that may have rows; the encoder only where it has work."""
    shards = run.shards("pool")
    shard = next((shard for shard in shards if shard.rows != 0), shards[0])
    with held(shard.files):
        return _measured(run, options, shard, embeds)


def _measured(run: RunContext, options: RunOptions, shard: Shard, embeds: bool) -> Rates:
    start = time.perf_counter()
    sha256_of(Path(shard.files[0]))
    read = length_of(shard.files[0]) / max(time.perf_counter() - start, 1e-6)
    images, vectors = None, None
    if embeds and embeds_while_reading(run, "pool"):
        images, vectors = _probe_images(run, shard)
    elif shard.vectors:
        file = next(iter(shard.vectors.values()))
        first = next(iter(blocks(file, PROBE_ROWS)), None)
        vectors = None if first is None else canonical(first).vectors
    return Rates(read, images, _probe_engine(vectors, options) if run.plan.benchmarks else 1.0)


def _probe_images(run: RunContext, shard: Shard) -> tuple[float | None, NDArray[np.float16] | None]:
    chosen = run.plan.encoder_map().get(encoder_name(run.plan, "pool"))
    if chosen is None:
        return None, None
    encoder = cached_encoder(chosen.spec(), run.place.device)
    source = run.plan.pool
    items = list(itertools.islice(open_reader(source).images(source, shard), PROBE_IMAGES))
    embed_images(encoder, iter(items[:8]), run.place)
    start = time.perf_counter()
    found = [e.vector for e in embed_images(encoder, iter(items), run.place) if e.vector is not None]
    seconds = time.perf_counter() - start
    return len(items) / seconds, np.array(found, np.float16).reshape(len(found), encoder.width)


def _probe_engine(vectors: NDArray[np.float16] | None, options: RunOptions) -> float:
    if vectors is None or not len(vectors):
        vectors = np.eye(512, dtype=np.float16)
    rows = np.resize(vectors, (PROBE_ROWS, vectors.shape[1]))
    queries = np.resize(vectors, (PROBE_QUERIES, vectors.shape[1]))
    packed = Queries(queries, ("probe",), np.array([0, PROBE_QUERIES]), np.ones(PROBE_QUERIES))
    search = open_scanner(packed, "exact", ScanOptions(device=options.device, threads=options.threads))
    search.scan(rows)
    start = time.perf_counter()
    search.scan(rows)
    return rows.size * PROBE_QUERIES / (time.perf_counter() - start)
