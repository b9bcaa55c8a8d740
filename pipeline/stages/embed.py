"""Embeddings that reading a set did not make: captions by a text tower, and images by a further encoder.

There is one vector for each row of `samples/`, in its order; a row that has none, for want of a caption, has NaN. Units
of one part are performed together: its images are read and decoded once for all encoders, and its captions with them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from curation.measure import VECTORS
from indexes.errors import DataError
from pipeline.commit import Attempt
from pipeline.embedding.batches import Embedded
from pipeline.embedding.caption_batches import embed_texts
from pipeline.embedding.encoder import EncoderSpec
from pipeline.embedding.image_batches import embed_by_several
from pipeline.execution.context import RunContext, inside
from pipeline.execution.costs import Cost, Rates, rows_of, width_of
from pipeline.execution.failpoints import failpoint
from pipeline.execution.work import Json, Work
from pipeline.files.afar.stand_ins import length_of
from pipeline.files.inputs import Input
from pipeline.files.parquet import read_parquet
from pipeline.measuring import encoder_name
from pipeline.passes.located import (
    committed_of,
    embedding_unit,
    embeds_while_reading,
    groups_of,
    own_key,
    parts_of,
    wanted_vectors,
)
from pipeline.passes.reading import cached_encoder, crop_of, write_embeddings
from pipeline.readers import Shard, reader_of
from pipeline.sets.parts import Part
from pipeline.sets.source import Source
from pipeline.stages.read import encoder_identity

AFTER = ("catalog",)


@dataclass(frozen=True, slots=True)
class Identity:
    """What decides a unit's bytes: the set, whose embeddings of what, the part's rows, and the encoder's files."""

    name: str
    encoder_name: str
    kind: str
    part: int
    rows: str
    encoder: Json


@dataclass(frozen=True, slots=True)
class Settings:
    """The part, and for images the set and its shards."""

    part: Part
    encoder: EncoderSpec
    encoder_name: str
    source: Source | None
    shards: tuple[Json, ...]


def plan(run: RunContext) -> Iterator[list[Work[Identity, Settings]]]:
    """List one unit per part, encoder and kind of embedding that no set brings."""
    works = []
    for name, encoders in wanted_vectors(run).items():
        parts = {part.number: part for part in parts_of(run, name)}
        for encoder, kinds in encoders.items():
            for kind in sorted(kinds & set(VECTORS)):
                if (
                    kind == "image"
                    and encoder == encoder_name(run.plan, name)
                    and embeds_while_reading(run, name)
                ):
                    continue
                for number, shards in groups_of(run, name):
                    if any(own_key(run, name, shard, encoder, kind) is None for shard in shards):
                        works.append(_work(run, name, encoder, kind, parts[number], shards))
    yield works


def _work(
    run: RunContext, name: str, encoder: str, kind: str, part: Part, shards: list[Shard]
) -> Work[Identity, Settings]:
    source = run.sets()[name]
    choice = run.plan.encoder_map().get(encoder)
    if choice is None:
        raise DataError(
            f"{name} ({source.path}) has no {kind} embeddings of the encoder '{encoder}', which a measure needs, and "
            "the plan has no encoder to make them: add encoder: {model: ..., pretrained: ...} (in an audit: --model "
            f"and --pretrained), or bring {kind} embeddings"
        )
    _check_material(run, name, kind, shards)
    spec = choice.spec()
    pictures = kind == "image"
    found = run.found(name) if pictures else None
    described = encoder_identity(run, encoder)
    if found is not None and crop_of(found):
        described |= {"crop": crop_of(found)}
    identity = Identity(name, encoder, kind, part.number, part.digest, described)
    settings = Settings(part, spec, encoder, found, tuple(s.to_json() for s in shards) if pictures else ())
    files = [file for shard in shards for file in shard.files] if pictures else []
    inputs = tuple(Input(file, inside(file, source.path), bytes=length_of(file)) for file in files)
    unit = embedding_unit(name, part.number, encoder, kind)
    rows, of = committed_of(run, part, ()), (name, part.number)
    together = f"{name} {part.number}"
    return Work("embed", unit, identity, settings, run.place, inputs, rows, of, together, rows=part.rows)


def _check_material(run: RunContext, name: str, kind: str, shards: list[Shard]) -> None:
    path = run.sets()[name].path
    if kind == "image" and not shards[0].has_images:
        raise DataError(f"{name} ({path}) has no images to embed; bring embeddings of that encoder")
    if kind == "text" and not sum(record.facts["captions"] for record in run.part_records("read", name)):
        raise DataError(
            f"{name} ({path}) has no captions, which a measure needs as text embeddings; bring a caption column "
            "(caption, text or TEXT), or take the measure and its rules out of the plan"
        )


def expect(run: RunContext, rates: Rates) -> Cost:
    """One unit for each part, encoder and kind that no set brings and reading does not make."""
    units = rows = 0
    for name, encoders in wanted_vectors(run).items():
        for encoder, kinds in encoders.items():
            for kind in kinds & set(VECTORS):
                if (
                    kind == "image"
                    and encoder == encoder_name(run.plan, name)
                    and embeds_while_reading(run, name)
                ):
                    continue
                if any(own_key(run, name, shard, encoder, kind) is None for shard in run.shards(name)):
                    units += len(groups_of(run, name))
                    rows += rows_of(run, name)
    seconds = rows / rates.images if rates.images and rows else None
    return Cost(units, 0, rows * width_of(run) * 2 if rows else 0, seconds, rows)


def perform_many(works: Sequence[Work[Identity, Settings]], attempts: Sequence[Attempt]) -> Iterator[Json]:
    """Embed one part by all encoders that lack it: its images in one pass, and its captions."""
    rows = read_parquet(Path(works[0].settings.part.samples), columns=["key", "caption"])
    filling = [_Filling(work, into, len(rows)) for work, into in zip(works, attempts, strict=True)]
    pictures = [one for one in filling if one.work.identity.kind == "image"]
    if pictures:
        _look(pictures, rows.column("key").to_pylist())
    for one in filling:
        if one.work.identity.kind == "text":
            found = embed_texts(one.encoder, rows.column("caption").to_pylist(), one.work.place.threads)
            for row, result in enumerate(found):
                one.take(row, result)
        failpoint("embed.looked")
        yield one.written()


class _Filling:
    """The vectors of one unit on their way."""

    def __init__(self, work: Work[Identity, Settings], into: Attempt, rows: int) -> None:
        self.work, self.into = work, into
        encoder, source = cached_encoder(work.settings.encoder, work.place.device), work.settings.source
        self.encoder = encoder if source is None else encoder.cropped(crop_of(source))
        self._vectors = np.full((rows, self.encoder.width), np.nan, dtype=np.float16)
        self._missing = rows

    def take(self, row: int, result: Embedded) -> None:
        """Keep what became of a row; one without a vector stays NaN."""
        if result.vector is not None:
            self._vectors[row] = result.vector
            self._missing -= 1

    def written(self) -> Json:
        """Write the array, and give the facts of the record."""
        of = self.work.identity
        write_embeddings(of.encoder_name, of.name, of.part, of.kind, self._vectors, self.into)
        facts = {"rows": len(self._vectors), "missing": self._missing, "width": self.encoder.width}
        return facts | {"encoder": self.encoder.fingerprint}


def _look(filling: Sequence[_Filling], keys: Sequence[str]) -> None:
    """Embed the images of the part's rows by each encoder; the rows are those whose image could be read."""
    work = filling[0].work
    source = work.settings.source
    if source is None:
        raise DataError(f"{work.label} was planned without its set; run again")
    encoders = [one.encoder for one in filling]
    row = 0
    for described in work.settings.shards:
        reading = reader_of(str(source.format)).read(source, Shard.from_json(described), True)
        for results in embed_by_several(encoders, reading.images(), threads=work.place.threads):
            if row < len(keys) and results[0].key == keys[row]:
                for one, result in zip(filling, results, strict=True):
                    one.take(row, result)
                row += 1
        reading.rows()
        for one in filling:
            one.into.noted |= reading.digests()
    if row < len(keys):
        raise DataError(f"the images of {work.identity.name} changed: '{keys[row]}' is gone; run again")
