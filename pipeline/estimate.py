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
from pipeline.commit import find
from pipeline.embedding.encoder import EncoderSpec, load_encoder
from pipeline.execution.work import RunContext
from pipeline.files.digests import InputDigests, sha256_of
from pipeline.files.vectors import blocks
from pipeline.plan import Plan, check_sources
from pipeline.readers import Shard, open_reader
from pipeline.run import RunOptions, open_run, waves
from pipeline.stages import STAGES
from pipeline.stages._parts import grouped
from pipeline.stages.read import embed_images

# Enough to be past warm-up, small enough to wait for.
PROBE_IMAGES, PROBE_ROWS, PROBE_QUERIES = 128, 4096, 1024
# Bytes of a row's uid and text in `samples/` and `splits/`, as compressed Parquet of web captions.
TEXT_BYTES = 120
SCORE_BYTES = 28


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


@dataclass(frozen=True, slots=True)
class Rates:
    """What the probe measured, per second; None where the plan has no such work.

    Attributes:
        read_bytes: Reading and hashing.
        images: Decoding and embedding.
        products: Multiply-adds of the search engine.
    """

    read_bytes: float
    images: float | None
    products: float


class _KnownDigests(InputDigests):
    """Digests that a run left behind; a file that was never hashed, or changed, has none."""

    def sha256(self, path: object) -> str:
        return self.cached(str(path)) or "unknown"


def estimate(plan: Plan, options: RunOptions) -> tuple[list[StageEstimate], Rates]:
    """Say what a run of the plan would do.

    Raises:
        DataError: If a set of the plan is missing; the message says which, and where to get it.
    """
    check_sources(plan)
    run = open_run(plan, options)
    run.digests = _KnownDigests(run.out)
    totals = _totals(run)
    for stage, done in _done(run).items():
        totals[stage].done = min(done, totals[stage].units)
    rates = probe(run, options)
    _cost(run, totals, rates, options.workers or 1)
    return list(totals.values()), rates


def _totals(run: RunContext) -> dict[str, StageEstimate]:
    shards = {name: len(run.shards(name)) for name in run.sets()}
    passes = {name: _units(run, name) for name in ("pool", "reference") if name in shards}
    benchmarks, splits = len(run.plan.benchmarks), len(run.plan.splits)
    counts = {
        "read": sum(shards.values()),
        "catalog": len(shards),
        "index": benchmarks,
        "calibrate": passes.get("reference", 0),
        "thresholds": benchmarks,
        "measure": passes["pool"],
        "neighbours": 1,
        "split": splits,
        "surviving": splits,
        "rescan": 0,
        "gap": splits,
        "report": 1,
    }
    return {stage: StageEstimate(stage, counts[stage]) for stage in STAGES}


def _done(run: RunContext) -> dict[str, int]:
    """Count finished units, stage by stage, up to the first that has something left to do."""
    done = dict.fromkeys(STAGES, 0)
    for stage, wave in waves(run):
        found = {work.name: find(run.out, work.unit()) for work in wave}
        run.done[stage] |= {name: record for name, record in found.items() if record is not None}
        done[stage] += len(run.done[stage])
        if len(run.done[stage]) < len(found):
            break
    return done


def _units(run: RunContext, name: str) -> int:
    """Count the units that take a set's vectors; what has images yet may make fewer or more."""
    sized = ((shard.rows or 0, shard.number) for shard in run.shards(name))
    return len(list(grouped(sized, run.plan.engine.unit_rows)))


def _rows(shards: list[Shard]) -> int:
    return sum(shard.rows or 0 for shard in shards)


def _cost(run: RunContext, totals: dict[str, StageEstimate], rates: Rates, workers: int) -> None:
    rows = {name: _rows(run.shards(name)) for name in run.sets()}
    queries = sum(rows[name] for name in run.plan.benchmarks)
    width = _width(run)
    text = {name: TEXT_BYTES * count for name, count in rows.items()}
    images = sum(_rows([s for s in run.shards(name) if s.vectors is None]) for name in rows)
    files = [f for name in rows for shard in run.shards(name) for f in shard.files]
    reads = {
        "read": sum(Path(file).stat().st_size for file in files),
        "calibrate": rows.get("reference", 0) * width * 2,
        "measure": rows["pool"] * width * 2,
        "split": rows["pool"] * (16 + SCORE_BYTES * len(run.plan.benchmarks)) * len(run.plan.splits),
    }
    writes = {
        "read": sum(text.values()) + images * width * 2,
        "index": queries * width * 4,
        "measure": rows["pool"] * (16 + SCORE_BYTES * len(run.plan.benchmarks)),
        "split": (text["pool"] + rows["pool"] * SCORE_BYTES * len(run.plan.benchmarks))
        * len(run.plan.splits),
    }
    seconds = {
        "read": reads["read"] / rates.read_bytes + (images / rates.images if rates.images else 0.0),
        "calibrate": rows.get("reference", 0) * queries * width / rates.products,
        "measure": rows["pool"] * queries * width / rates.products + reads["measure"] / rates.read_bytes,
        "split": reads["split"] / rates.read_bytes,
    }
    for stage, found in totals.items():
        left = found.todo / found.units if found.units else 0.0
        found.reads, found.writes = int(reads.get(stage, 0) * left), int(writes.get(stage, 0) * left)
        found.seconds = seconds[stage] * left / workers if stage in seconds else None


def _width(run: RunContext) -> int:
    for name in run.sets():
        for shard in run.shards(name):
            if shard.vectors is not None:
                return int(shard.vectors.width)
    return _encoder_width(run)


def _encoder_width(run: RunContext) -> int:
    chosen = run.plan.encoder
    return 0 if chosen is None else load_encoder(EncoderSpec(chosen.model, chosen.pretrained), "cpu").width


def probe(run: RunContext, options: RunOptions) -> Rates:
    """Measure this machine on the first shard of the pool that may have rows."""
    shards = run.shards("pool")
    shard = next((shard for shard in shards if shard.rows != 0), shards[0])
    start = time.perf_counter()
    sha256_of(Path(shard.files[0]))
    read = Path(shard.files[0]).stat().st_size / max(time.perf_counter() - start, 1e-6)
    images, vectors = None, None
    if shard.vectors is None and shard.has_images and run.plan.encoder is not None:
        images, vectors = _probe_images(run, shard)
    elif shard.vectors is not None:
        first = next(iter(blocks(shard.vectors, PROBE_ROWS)), None)
        vectors = None if first is None else canonical(first).vectors
    return Rates(read, images, _probe_engine(vectors, options))


def _probe_images(run: RunContext, shard: Shard) -> tuple[float, NDArray[np.float16]]:
    chosen = run.plan.encoder
    encoder = (
        load_encoder(EncoderSpec(chosen.model, chosen.pretrained), run.settings["device"]) if chosen else None
    )
    if encoder is None:
        return 1.0, np.zeros((0, 1), np.float16)
    source = run.plan.pool
    items = list(itertools.islice(open_reader(source).images(source, shard), PROBE_IMAGES))
    embed_images(encoder, items[:8], run.settings["threads"])
    start = time.perf_counter()
    found = [e.vector for e in embed_images(encoder, items, run.settings["threads"]) if e.vector is not None]
    return len(items) / (time.perf_counter() - start), np.array(found, np.float16).reshape(
        len(found), encoder.width
    )


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
