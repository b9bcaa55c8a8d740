"""Rows of every set, with their uids; where a set brings images instead of vectors, they are embedded here."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from indexes.errors import DataError
from pipeline.commit import Attempt
from pipeline.embedding.batches import Embedded, embed_stream
from pipeline.embedding.encoder import Encoder, EncoderSpec, load_encoder
from pipeline.execution.work import Json, RunContext, Work
from pipeline.files.parquet import write_parquet
from pipeline.files.storage import output_errors
from pipeline.readers import Shard, ShardRows, format_of, reader_of
from pipeline.sets.samples import LOST_SCHEMA, OWN_NAMES
from pipeline.sets.source import Source
from pipeline.sets.uids import as_hex, resolve


def plan(run: RunContext) -> Iterator[list[Work]]:
    """List one unit per shard of every set."""
    works = []
    for name, source in run.sets().items():
        found = format_of(source)
        for shard in run.shards(name):
            works.append(_work(run, name, source, shard, found))
    yield works


def _work(run: RunContext, name: str, source: Source, shard: Shard, found: str) -> Work:
    embeds = shard.vectors is None
    if embeds and (run.plan.encoder is None or not shard.has_images):
        raise DataError(_no_vectors(name, source, shard))
    identity: Json = {
        "set": name,
        "source": {"format": source.format, "embedding": source.embedding},
        "part": shard.number,
        "files": [[_inside(file, source.path), run.digests.sha256(file)] for file in shard.files],
        "encoder": encoder_identity(run) if embeds else None,
    }
    settings = run.settings | {
        # With its format: a unit that looked for it would list the whole set.
        "source": source.model_dump() | {"format": found},
        "shard": shard.to_json(),
        "encoder": run.plan.encoder.model_dump() if embeds and run.plan.encoder else None,
    }
    size = sum(Path(file).stat().st_size for file in shard.files)
    return Work("read", f"{name}-{shard.number:04d}", identity, settings, shard.rows or 0, size)


def _inside(file: str, root: str) -> str:
    """Name a file by its place inside the set, so that a set that moved is still the same set."""
    path, folder = Path(file).resolve(), Path(root).resolve()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name


def _no_vectors(name: str, source: Source, shard: Shard) -> str:
    if shard.has_images:
        return (
            f"{name} ({source.path}) brings images but the plan names no encoder; "
            "add encoder: {model: ViT-B-16-plus-240, pretrained: laion400m_e32}, or bring embeddings"
        )
    return (
        f"{name} ({source.path}) brings neither vectors nor images, so nothing can be measured on it; download it "
        "with img2dataset first, name a folder of .npy files under embeddings, or remove the benchmarks from the plan"
    )


def encoder_identity(run: RunContext) -> Json:
    """Name the encoder by its files where it is local, else by its open_clip names."""
    chosen = run.plan.encoder
    if chosen is None:
        return {}
    identity: Json = {}
    for role, value in (("model", chosen.model), ("pretrained", chosen.pretrained)):
        path = Path(value) if value else None
        if path is not None and path.is_dir():
            identity[role] = [[f.name, run.digests.sha256(str(f))] for f in sorted(path.glob("*.json"))]
        elif path is not None and path.is_file():
            identity[role] = run.digests.sha256(str(path))
        else:
            identity[role] = value
    return identity


def perform(work: Work, into: Attempt) -> Json:
    """Read one shard; embed its images where asked."""
    source = Source(**work.settings["source"])
    shard = Shard.from_json(work.settings["shard"])
    name, part = work.identity["set"], work.identity["part"]
    listed = reader_of(work.settings["source"]["format"]).rows(source, shard)
    where = f"{name} shard {shard.name}"
    tables, lost = _without_images(listed, where), listed.lost
    facts: Json = {"notes": list(listed.notes), "width": shard.vectors.width if shard.vectors else None}
    if work.settings["encoder"] is not None:
        table, rejected, embedded = _embed(work, source, shard, resolve(listed.table, where), into)
        tables, lost = iter([table]), pa.concat_tables([lost, rejected])
        facts |= embedded
    samples = (_samples(table, part) for table in tables)
    rows = _write(into, f"samples/{name}/part-{part:04d}.parquet", samples)
    _write(into, f"samples/{name}/lost-{part:04d}.parquet", iter([lost]))
    outcomes = zip(lost.column("outcome").to_pylist(), lost.column("reason").to_pylist(), strict=True)
    lost_counts: dict[str, Counter[str]] = {"failed": Counter(), "quarantined": Counter()}
    for outcome, reason in outcomes:
        lost_counts[outcome][reason] += 1
    return facts | {"rows": rows, "lost": {k: dict(sorted(v.items())) for k, v in lost_counts.items()}}


def _without_images(listed: ShardRows, where: str) -> Iterator[pa.Table]:
    """Give the rows of a shard that brings its vectors, a piece at a time."""
    for piece in listed.pieces():
        table = resolve(piece, where)
        yield table.append_column("image_sha256", pa.nulls(len(table), pa.string()))


def _write(into: Attempt, relative: str, tables: Iterator[pa.Table]) -> int:
    first = next(tables)
    rows = write_parquet(into.file(relative), chain([first], tables), first.schema)
    into.add(relative, rows=rows)
    return rows


def _samples(table: pa.Table, part: int) -> pa.Table:
    """Put a part's columns in the order of `samples/`."""
    table = table.append_column("part", pa.array(np.full(len(table), part, dtype=np.int32)))
    own = [name for name in table.column_names if name not in OWN_NAMES]
    return table.select([*OWN_NAMES, *own])


def _embed(
    work: Work, source: Source, shard: Shard, table: pa.Table, into: Attempt
) -> tuple[pa.Table, pa.Table, Json]:
    """Embed a shard's images; give the rows that have a vector, the rejected rows, and the facts."""
    encoder = cached_encoder(EncoderSpec(**work.settings["encoder"]), work.settings["device"])
    hashes: list[str] = []
    results = embed_images(encoder, _hashed(source, shard, hashes), work.settings["threads"])
    keys = table.column("key").to_pylist()
    if [result.key for result in results] != keys:
        raise DataError(
            f"{shard.name}: the images changed while they were read (now {len(results)}, listed {len(keys)}); "
            "let the download finish, then run again"
        )
    good = np.array([result.vector is not None for result in results], dtype=bool)
    vectors = np.array([r.vector for r in results if r.vector is not None], dtype=np.float16)
    table = table.append_column("image_sha256", pa.array(hashes, pa.string()))
    rejected = _rejected(table.filter(pa.array(~good)), [r for r in results if r.vector is None])
    kept = table.filter(pa.array(good))
    kept = kept.set_column(
        kept.column_names.index("row"), "row", pa.array(np.arange(len(kept), dtype=np.int64))
    )
    _write_embeddings(work, into, kept, vectors.reshape(len(kept), encoder.width))
    return kept, rejected, {"width": encoder.width, "encoder": encoder.fingerprint}


def embed_images(
    encoder: Encoder, images: Iterable[tuple[str, bytes]], threads: int | None
) -> list[Embedded]:
    """Embed `(key, file bytes)` pairs, in order."""
    return list(embed_stream(encoder, images, threads=threads))


def _hashed(source: Source, shard: Shard, hashes: list[str]) -> Iterator[tuple[str, bytes]]:
    for key, image in reader_of(str(source.format)).images(source, shard):
        hashes.append(hashlib.sha256(image).hexdigest())
        yield key, image


def _rejected(table: pa.Table, results: list[Embedded]) -> pa.Table:
    columns = {name: table.column(name) for name in ("key", "uid", "url", "caption")}
    columns["outcome"] = pa.array(["quarantined"] * len(table), pa.string())
    columns["reason"] = pa.array([result.reason for result in results], pa.string())
    return pa.table(columns, schema=LOST_SCHEMA)


def _write_embeddings(work: Work, into: Attempt, table: pa.Table, vectors: np.ndarray[Any, Any]) -> None:
    """Write clip-retrieval's layout: `img_emb/img_emb_0000.npy` and `metadata/metadata_0000.parquet`."""
    folder, part = f"embeddings/{work.identity['set']}", work.identity["part"]
    relative = f"{folder}/img_emb/img_emb_{part:04d}.npy"
    path = into.file(relative)
    with output_errors(path, vectors.nbytes):
        np.save(path, vectors)
    into.add(relative, rows=len(vectors))
    metadata = pa.table(
        {
            "image_path": table.column("key"),
            "caption": table.column("caption"),
            "url": table.column("url"),
            "uid": as_hex(table.column("uid")),
        }
    )
    _write(into, f"{folder}/metadata/metadata_{part:04d}.parquet", iter([metadata]))


_ENCODERS: dict[tuple[Any, ...], Encoder] = {}


def cached_encoder(spec: EncoderSpec, device: str) -> Encoder:
    """Load an encoder once per process."""
    key = (*asdict(spec).values(), device)
    if key not in _ENCODERS:
        _ENCODERS[key] = load_encoder(spec, device)
    return _ENCODERS[key]
