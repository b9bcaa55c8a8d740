"""What a stage would cost, as its own file says it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.execution.context import RunContext
from pipeline.files.afar.stand_ins import length_of
from pipeline.readers import Shard
from pipeline.sets.parts import size_of

# Bytes of a row's uid and text in `samples/` and `splits/`, as compressed Parquet of web captions.
TEXT_BYTES = 140
SCORE_BYTES = 28


@dataclass(frozen=True, slots=True)
class Rates:
    """What a probe measured, per second; None where the plan has no such work.

    Attributes:
        read_bytes: Reading and hashing.
        images: Decoding and embedding.
        products: Multiply-adds of the search engine.
    """

    read_bytes: float
    images: float | None
    products: float


@dataclass(frozen=True, slots=True)
class Cost:
    """What a stage comes to if nothing of it is done.

    Attributes:
        units: Units in all.
        reads: Bytes to read.
        writes: Bytes to write, roughly.
        seconds: Time by the probe's rates; None where none was measured.
        rows: Rows that the units look at, as far as headers and counts tell; a row counts once for each of them.
        known: Whether that can be told before the stages in front of it are done.
    """

    units: int
    reads: int = 0
    writes: int = 0
    seconds: float | None = None
    rows: int = 0
    known: bool = True


def rows_of(run: RunContext, name: str) -> int:
    """Count a set's rows, as far as headers and counts tell."""
    return sum(size_of(shard) for shard in run.shards(name))


def queries_of(run: RunContext) -> int:
    """Count the queries of all benchmarks."""
    return sum(rows_of(run, name) for name in run.plan.benchmarks)


def bytes_of(shards: Sequence[Shard]) -> int:
    """Add up the sizes of shards' files, vectors left out."""
    vectors = {file.path for shard in shards for file in shard.vectors.values()}
    files = (file for shard in shards for file in shard.files if file not in vectors)
    return sum(map(length_of, files))


def width_of(run: RunContext) -> int:
    """Find how many numbers an embedding has: by vectors that are there already, or by the encoder."""
    for name in run.sets():
        for shard in run.shards(name):
            for file in shard.vectors.values():
                return int(file.width)
    for record in run.records("read"):
        if record.facts["encoder"] is not None:
            return int(record.facts["width"])
    return run.once("width of the encoder", lambda: _encoder_width(run))


def _encoder_width(run: RunContext) -> int:
    from pipeline.embedding.encoder import load_encoder

    for choice in run.plan.encoder_map().values():
        return load_encoder(choice.spec(), "cpu").width
    return 0
