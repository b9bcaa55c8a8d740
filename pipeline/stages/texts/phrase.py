"""Texts that a measure compares samples with, embedded once by the encoder's text tower. Planned by `measure`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from curation import measures
from indexes.errors import DataError
from pipeline import layout
from pipeline.commit import Attempt
from pipeline.embedding.caption_batches import embed_texts
from pipeline.embedding.encoder import EncoderSpec
from pipeline.execution.context import RunContext
from pipeline.execution.work import Json, Work
from pipeline.files.storage import output_errors
from pipeline.measuring import Instance
from pipeline.passes.reading import cached_encoder
from pipeline.stages.read import encoder_identity


@dataclass(frozen=True, slots=True)
class Identity:
    """What decides a unit's bytes: the measure with its options, which say the texts, and the encoder's files."""

    kind: str
    name: str
    options: Json
    version: int
    encoder_name: str
    encoder: Json


@dataclass(frozen=True, slots=True)
class Settings:
    """The encoder."""

    encoder: EncoderSpec
    encoder_name: str


def wave(run: RunContext, comparing: Sequence[Instance]) -> Iterator[list[Work[Identity, Settings]]]:
    """Plan one unit for each measure that compares with texts, where there is one."""
    if comparing:
        yield [_work(run, one) for one in comparing]


def _work(run: RunContext, one: Instance) -> Work[Identity, Settings]:
    choice = run.plan.encoder_map()[one.encoder]
    identity = Identity(
        one.kind,
        one.name,
        measures.dump(one.measure),
        one.measure.version,
        one.encoder,
        encoder_identity(run, one.encoder),
    )
    settings = Settings(choice.spec(), one.encoder)
    return Work("phrase", one.name, identity, settings, run.place, rows=len(one.measure.phrases()))


def perform(work: Work[Identity, Settings], into: Attempt) -> Json:
    """Embed the texts."""
    identity = work.identity
    texts = measures.parse(identity.kind, identity.options, f"measures.{identity.name}").phrases()
    encoder = cached_encoder(work.settings.encoder, work.place.device)
    found = embed_texts(encoder, texts, work.place.threads)
    for text, one in zip(texts, found, strict=True):
        if one.vector is None:
            raise DataError(
                f"{identity.name}: the encoder {identity.encoder_name} gives no vector for {text[:80]!r} "
                f"({one.reason}); take another template or encoder"
            )
    vectors = np.stack([one.vector for one in found if one.vector is not None])
    relative = layout.model(identity.name)
    path = into.file(relative)
    with output_errors(path, vectors.nbytes), path.open("xb") as file:
        np.savez(file, allow_pickle=False, phrases=vectors)
    into.add(relative)
    return {"rows": len(vectors), "width": encoder.width, "encoder": encoder.fingerprint}
