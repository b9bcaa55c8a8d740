"""Rows of every set, with their uids; where a set brings images instead of vectors, they are embedded in the same pass.

Each file is read once, and its digest is taken from the bytes that were read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from indexes.errors import DataError
from pipeline import layout
from pipeline.commit import Attempt
from pipeline.embedding.encoder import EncoderSpec
from pipeline.execution.context import RunContext, inside
from pipeline.execution.costs import TEXT_BYTES, Cost, Rates, bytes_of, rows_of, width_of
from pipeline.execution.work import Json, Work
from pipeline.files.afar.stand_ins import length_of
from pipeline.files.inputs import Input
from pipeline.files.parquet import write_parquet
from pipeline.measuring import encoder_name
from pipeline.passes.located import embeds_while_reading, groups_of, own_key, unit_name
from pipeline.passes.reading import Found, Reading, cached_encoder, crop_of, read_shard, write_embeddings
from pipeline.readers import Shard
from pipeline.sets.samples import LOST_SCHEMA
from pipeline.sets.source import Source
from pipeline.sets.tombstones import PartFiles, count_lost, cut, holds_purged, tombstones
from pipeline.sets.unify import Assembly

AFTER: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Identity:
    """What decides a unit's bytes, but for what is in the files.

    Attributes:
        name: The set.
        format: As the plan names it.
        options: Options of its reader that are no paths.
        part: Number of the part.
        files: Each shard's files, as the set calls them.
        encoder: What its images are embedded by; None where they are not.
    """

    name: str
    format: str | None
    options: Json
    part: int
    files: tuple[tuple[str, ...], ...]
    encoder: Json | None


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the set lies, its shards, the encoder, and whether the set was elsewhere in the last run."""

    source: Source
    shards: tuple[Json, ...]
    encoder: EncoderSpec | None
    encoder_name: str
    moved: bool


def plan(run: RunContext) -> Iterator[list[Work[Identity, Settings]]]:
    """List one unit per part of every set."""
    works = []
    for name in run.sets():
        # With its format: a unit that looked for it would list the whole set.
        found = run.found(name)
        for number, shards in groups_of(run, name):
            works.append(_work(run, name, found, number, shards))
    yield works


def _work(
    run: RunContext, name: str, source: Source, number: int, shards: list[Shard]
) -> Work[Identity, Settings]:
    own = encoder_name(run.plan, name)
    chosen = _encoder(run, name, shards) if embeds_while_reading(run, name) else None
    given = run.sets()[name]
    options = {k: v for k, v in source.options.items() if not (isinstance(v, str) and Path(v).is_absolute())}
    root = source.path
    files = tuple(tuple(inside(file, root) for file in shard.files) for shard in shards)
    described = encoder_identity(run, own) if chosen else None
    identity = Identity(name, given.format, options, number, files, described)
    settings = Settings(
        source, tuple(s.to_json() for s in shards), chosen, own if chosen else "", name in run.moved
    )
    vectors = {file.path for shard in shards for file in shard.vectors.values()}
    read = [file for shard in shards for file in shard.files if file not in vectors]
    inputs = tuple(Input(file, inside(file, root), bytes=length_of(file)) for file in read)
    rows = sum(shard.rows or 0 for shard in shards)
    return Work(
        "read", unit_name(name, number), identity, settings, run.place, inputs, part=(name, number), rows=rows
    )


def _encoder(run: RunContext, name: str, shards: list[Shard]) -> EncoderSpec | None:
    """Choose what embeds a part; None where it brings its vectors."""
    own, source = encoder_name(run.plan, name), run.sets()[name]
    lacking = [shard for shard in shards if own_key(run, name, shard, own, "image") is None]
    if not lacking:
        return None
    if not lacking[0].has_images:
        raise DataError(
            f"{name} ({source.path}) brings neither vectors nor images, so nothing can be measured on it; fetch its "
            "images with `nearfar ingest` first, name a folder of .npy files under embeddings, or remove the "
            "benchmarks from the plan"
        )
    choice = run.plan.encoder_map().get(own)
    if choice is None:
        raise DataError(
            f"{name} ({source.path}) brings images but the plan names no encoder; "
            "add encoder: {model: ViT-B-16-plus-240, pretrained: laion400m_e32} (in an audit: --model "
            "ViT-B-16-plus-240 --pretrained laion400m_e32), or bring embeddings"
        )
    return choice.spec()


def encoder_identity(run: RunContext, name: str) -> Json:
    """Name an encoder by its files where it is local, else by its open_clip names."""
    chosen = run.plan.encoder_map()[name]
    identity: Json = {}
    for role, value in (("model", chosen.model), ("pretrained", chosen.pretrained)):
        path = Path(value) if value else None
        if path is not None and path.is_dir():
            # The weights may lie beside the config; then they are named by nothing else.
            kinds = (
                ("*.json",) if chosen.pretrained else ("*.json", "*.safetensors", "*.bin", "*.pt", "*.pth")
            )
            found = sorted(file for kind in kinds for file in path.glob(kind))
            identity[role] = [[file.name, run.ledger.sha256(file)] for file in found]
        elif path is not None and path.is_file():
            identity[role] = run.ledger.sha256(path)
        else:
            identity[role] = value
    for option, plain in (("precision", "float32"), ("decoder", "pillow")):
        value = getattr(chosen, option)
        if value != plain:
            identity[option] = value
    return identity


def expect(run: RunContext, rates: Rates) -> Cost:
    """Every file but vectors is read; what is embedded is written."""
    shards = {name: run.shards(name) for name in run.sets()}
    units = sum(len(groups_of(run, name)) for name in shards)
    reads, rows = (sum(map(find, shards.values())) for find in (bytes_of, _listed))
    embedded = sum(rows_of(run, name) for name in run.sets() if embeds_while_reading(run, name))
    writes = TEXT_BYTES * sum(rows_of(run, name) for name in run.sets())
    writes += embedded * width_of(run) * 2 if embedded else 0
    seconds = reads / rates.read_bytes + (embedded / rates.images if rates.images else 0.0)
    return Cost(units, reads, writes, seconds, rows)


def _listed(shards: list[Shard]) -> int:
    """Count the rows that shards are known to have before they are read."""
    return sum(shard.rows or 0 for shard in shards)


def perform(work: Work[Identity, Settings], into: Attempt) -> Json:
    """Read one part, shard by shard; embed its images where asked."""
    name, part = work.identity.name, work.identity.part
    encoder = None
    if work.settings.encoder is not None:
        source = work.settings.source
        encoder = cached_encoder(work.settings.encoder, work.place.device).cropped(crop_of(source))
    of = Reading(name, work.settings.source, part, work.place)
    found = Found(Assembly(into.scratch()))
    for described in work.settings.shards:
        read_shard(of, Shard.from_json(described), encoder, found, into)
    relative = layout.samples(name, part)
    rows = found.samples.write(into.file(relative))
    into.add(relative, rows=rows)
    lost = pa.concat_tables([LOST_SCHEMA.empty_table(), *found.lost])
    relative = layout.lost(name, part)
    into.add(relative, rows=write_parquet(into.file(relative), lost, LOST_SCHEMA))
    notes = [*found.notes, *found.samples.notes]
    odd = dict(sorted(found.odd.items()))
    facts: Json = {
        "rows": rows,
        "lost": count_lost(lost),
        "notes": notes,
        "odd": odd,
        "captions": found.captions,
        "shards": found.shards,
    }
    if encoder is None:
        return facts | {"width": _own_width(work), "encoder": None} | _without_purged(work, into)
    kept = found.vectors or [np.empty((0, encoder.width), np.float16)]
    write_embeddings(work.settings.encoder_name, name, part, "image", np.concatenate(kept), into)
    metadata = pa.concat_tables(found.metadata)
    relative = layout.embedding_metadata(name, work.settings.encoder_name, part)
    into.add(relative, rows=write_parquet(into.file(relative), metadata, metadata.schema))
    made = {"width": encoder.width, "encoder": encoder.fingerprint}
    return facts | made | _without_purged(work, into)


def _without_purged(work: Work[Identity, Settings], into: Attempt) -> Json:
    """Cut what was purged out of the files that were just written; returns the facts that this changes."""
    stones = tombstones(Path(work.place.out))
    if not stones:
        return {}
    name, part, encoder = work.identity.name, work.identity.part, work.settings.encoder_name
    paths = [layout.samples(name, part), layout.lost(name, part)]
    if work.settings.encoder is not None:
        paths += [
            layout.embedding(name, encoder, "image", part),
            layout.embedding_metadata(name, encoder, part),
        ]
    written = PartFiles(*(into.file(path) for path in paths))
    if not holds_purged(written, stones):
        return {}
    aside = [into.scratch() / f"cut {at} {Path(path).name}" for at, path in enumerate(paths)]
    facts = cut(written, PartFiles(*aside), stones)
    for cut_file, path in zip(aside, paths, strict=True):
        cut_file.replace(into.file(path))
        lost = sum(count for of in facts["lost"].values() for count in of.values())
        into.add(path, rows=lost if path == layout.lost(name, part) else facts["rows"])
    return facts


def _own_width(work: Work[Identity, Settings]) -> int | None:
    for described in work.settings.shards:
        image = Shard.from_json(described).vectors.get("image")
        if image is not None:
            return image.width
    return None
