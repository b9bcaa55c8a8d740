"""What a plan would do and cost: units, bytes, and seconds from a measured probe of one shard. Touches nothing."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexes.canonical import canonical
from indexes.queries import Queries
from indexes.search import ScanOptions, open_scanner
from pipeline.execution.context import RunContext
from pipeline.execution.costs import Rates
from pipeline.execution.work import stage_module
from pipeline.files.digests import sha256_of
from pipeline.files.vectors import blocks
from pipeline.measuring import encoder_name
from pipeline.passes.fitting import check_measures
from pipeline.passes.located import embeds_while_reading
from pipeline.passes.plan_rules import check_rules
from pipeline.passes.reading import cached_encoder, embed_images
from pipeline.passes.report_columns import check_report_columns
from pipeline.plan import Plan, check_sources, check_weights
from pipeline.readers import Shard, open_reader
from pipeline.run import RunOptions, encoders_of, open_run, standing, waves
from pipeline.stages import stage_names

# Enough to be past warm-up, small enough to wait for.
PROBE_IMAGES, PROBE_ROWS, PROBE_QUERIES = 128, 4096, 1024


@dataclass(slots=True)
class StageEstimate:
    """One stage of a plan.

    Attributes:
        stage: Its name.
        units: Units in all; `done` of them need nothing.
        done: Units that stand already.
        reads: Bytes still to read.
        writes: Bytes still to write, roughly.
        seconds: Time still to spend, from the probe; None where none was measured.
    """

    stage: str
    units: int
    done: int = 0
    reads: int = 0
    writes: int = 0
    seconds: float | None = None

    @property
    def todo(self) -> int:
        """Units to do."""
        return self.units - self.done


def estimate(plan: Plan, options: RunOptions) -> tuple[list[StageEstimate], Rates]:
    """Say what a run of the plan would do.

    Raises:
        NearfarError: What `run` would refuse, in the same words.
    """
    check_sources(plan)
    run = open_run(plan, options)
    check_measures(run)
    check_rules(run)
    check_report_columns(run)
    done = _done(run)
    rates = probe(run, options)
    workers = options.workers or 1
    return [_stage(run, stage, done.get(stage, 0), rates, workers) for stage in stage_names()], rates


def _stage(run: RunContext, stage: str, done: int, rates: Rates, workers: int) -> StageEstimate:
    cost = stage_module(stage).expect(run, rates)
    done = min(done, cost.units)
    left = (cost.units - done) / cost.units if cost.units else 0.0
    seconds = None if cost.seconds is None else cost.seconds * left / workers
    return StageEstimate(stage, cost.units, done, int(cost.reads * left), int(cost.writes * left), seconds)


def _done(run: RunContext) -> dict[str, int]:
    """Count the units that stand, as far as the stages can be planned without doing anything."""
    counts: dict[str, int] = {}
    for stage, wave in waves(run):
        known = run.known(one for work in wave for one in work.inputs)
        contents: dict[int, str | None] = {}
        found = {work.name: standing(run, work, known, contents) for work in wave}
        counts[stage] = counts.get(stage, 0) + sum(record is not None for record in found.values())
        todo = [work for work in wave if found[work.name] is None]
        check_weights(run.plan, encoders_of(todo))
        for record in found.values():
            if record is None:
                return counts
            run.finish(record)
    return counts


def probe(run: RunContext, options: RunOptions) -> Rates:
    """Measure this machine on the first shard of the pool that may have rows."""
    shards = run.shards("pool")
    shard = next((shard for shard in shards if shard.rows != 0), shards[0])
    start = time.perf_counter()
    sha256_of(Path(shard.files[0]))
    read = Path(shard.files[0]).stat().st_size / max(time.perf_counter() - start, 1e-6)
    images, vectors = None, None
    if embeds_while_reading(run, "pool"):
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
