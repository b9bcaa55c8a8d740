"""Small sets of samples, written the way the real producers write each format."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.sets.source import Source

WIDTH = 4
# What a path, a column or a caption may hold and still must come through.
ODD_FOLDER = 'it\'s a "set" of * [all] k=v; DROP é'
HOSTILE = {
    "nul": "before\0after",
    "bidi": "safe \u202etxt.exe\u2066",
    "script": "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>",
    "long": "x" * 1_000_000,
    "emoji": "👩‍👩‍👧‍👦 e\u0301 é",
    "newline": "one\ntwo\r\nthree\ttab",
    "formula": "=cmd|' /C calc'!A0",
    "empty": "",
}
ODD_COLUMNS = ('we"ird', "it's", "*", "[x]", "a;b", "a b", "Größe", "select", "x.y")


@dataclass(frozen=True)
class Sample:
    key: str
    url: str | None
    caption: str | None
    label: str

    @property
    def image(self) -> bytes:
        return b"\xff\xd8 not decoded by a reader: " + self.key.encode()


@dataclass(frozen=True)
class Written:
    """A set on disk, and what a reader must make of it."""

    source: Source
    shards: list[list[Sample]]
    has_vectors: bool = False
    has_images: bool = False
    has_text: bool = True
    has_label: bool = False
    has_own_columns: bool = True


def samples(counts: Sequence[int]) -> list[list[Sample]]:
    """Samples by shard; the first ones have hostile captions."""
    captions = [*HOSTILE.values(), None]
    numbers = iter(range(sum(counts)))
    made = []
    for count in counts:
        shard = []
        for number in (next(numbers) for _ in range(count)):
            caption = captions[number] if number < len(captions) else f"caption {number}"
            shard.append(Sample(f"{number:09d}", f"http://host/{number}.jpg", caption, f"class_{number % 3}"))
        made.append(shard)
    return made


def vectors(shard: Sequence[Sample], dtype: str = "<f2") -> Any:
    rows = [[int(sample.key), 1, 2, 3] for sample in shard]
    return np.array(rows, dtype=dtype).reshape(len(shard), WIDTH)


def own_columns(shard: Sequence[Sample]) -> dict[str, pa.Array]:
    """Columns of a pool's own, nested ones and odd names too."""
    count = len(shard)
    columns = {name: pa.array(range(count), pa.int32()) for name in ODD_COLUMNS}
    boxes = [[[0.0, 0.0, 0.5, 0.5]]] * count
    columns["face_bboxes"] = pa.array(boxes, pa.list_(pa.list_(pa.float32())))
    columns["similarity"] = pa.array([6016.0] * count, pa.float64())
    return columns


def text_columns(shard: Sequence[Sample], key: str | None, url: str, caption: str) -> dict[str, pa.Array]:
    columns = {
        key: [sample.key for sample in shard],
        url: [sample.url for sample in shard],
        caption: [sample.caption for sample in shard],
    }
    return {name: pa.array(values, pa.string()) for name, values in columns.items() if name is not None}


def write_parquet(path: Path, columns: dict[str, pa.Array]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def clip_retrieval(root: Path, shards: list[list[Sample]]) -> Written:
    (root / "img_emb").mkdir(parents=True, exist_ok=True)
    for number, shard in enumerate(shards):
        np.save(root / "img_emb" / f"img_emb_{number}.npy", vectors(shard))
        columns = text_columns(shard, "image_path", "url", "caption") | own_columns(shard)
        write_parquet(root / "metadata" / f"metadata_{number}.parquet", columns)
    return Written(Source(path=str(root), format="clip-retrieval"), shards, has_vectors=True)


def datacomp(root: Path, shards: list[list[Sample]]) -> Written:
    root.mkdir(parents=True, exist_ok=True)
    for number, shard in enumerate(shards):
        columns = text_columns(shard, "key", "url", "text") | own_columns(shard)
        write_parquet(root / f"{number:032x}.parquet", columns)
        np.savez_compressed(
            root / f"{number:032x}.npz", b32_img=vectors(shard), l14_img=vectors(shard, "<f4")
        )
    return Written(Source(path=str(root), format="datacomp"), shards, has_vectors=True)


def laion(root: Path, shards: list[list[Sample]]) -> Written:
    for number, shard in enumerate(shards):
        name = f"part-{number:05d}-0a1b2c3d-c000.snappy.parquet"
        write_parquet(root / name, text_columns(shard, "key", "URL", "TEXT") | own_columns(shard))
    return Written(Source(path=str(root), format="laion"), shards)


def image_folder(root: Path, shards: list[list[Sample]]) -> Written:
    named = []
    for sample in (sample for shard in shards for sample in shard):
        folder = root / sample.label
        folder.mkdir(parents=True, exist_ok=True)
        named.append(Sample(f"{sample.label}/{sample.key}.png", None, None, sample.label))
        (folder / f"{sample.key}.png").write_bytes(named[-1].image)
    ordered = [sorted(named, key=lambda sample: sample.key)] if named else []
    source = Source(path=str(root), format="image-folder")
    return Written(source, ordered, has_images=True, has_text=False, has_label=True, has_own_columns=False)


def img2dataset(root: Path, shards: list[list[Sample]]) -> Written:
    root.mkdir(parents=True, exist_ok=True)
    for number, shard in enumerate(shards):
        columns = text_columns(shard, "key", "url", "caption") | own_columns(shard)
        count = len(shard)
        columns["status"] = pa.array(["success"] * count, pa.string())
        columns["error_message"] = pa.nulls(count, pa.string())
        write_tar(root / f"{number:05d}.tar", [entry for sample in shard for entry in members(sample)])
        write_parquet(root / f"{number:05d}.parquet", columns)
        write_stats(root / f"{number:05d}_stats.json", count, count)
    return Written(Source(path=str(root), format="img2dataset"), shards, has_images=True)


def image_parquet(root: Path, shards: list[list[Sample]]) -> Written:
    """img2dataset's `parquet` output: the tar's images as a column, beside what the sidecar has."""
    root.mkdir(parents=True, exist_ok=True)
    for number, shard in enumerate(shards):
        columns = text_columns(shard, "key", "url", "caption") | own_columns(shard)
        columns["status"] = pa.array(["success"] * len(shard), pa.string())
        columns["error_message"] = pa.nulls(len(shard), pa.string())
        columns["jpg"] = pa.array([sample.image for sample in shard], pa.binary())
        write_parquet(root / f"{number:05d}.parquet", columns)
        write_stats(root / f"{number:05d}_stats.json", len(shard), len(shard))
    return Written(Source(path=str(root), format="image-parquet"), shards, has_images=True)


def members(sample: Sample) -> list[tuple[str, bytes]]:
    described = json.dumps({"url": sample.url, "caption": sample.caption, "key": sample.key})
    caption = (sample.caption or "").encode()
    return [
        (f"{sample.key}.jpg", sample.image),
        (f"{sample.key}.json", described.encode()),
        (f"{sample.key}.txt", caption),
    ]


def write_tar(path: Path, entries: Sequence[tuple[str | tarfile.TarInfo, bytes]]) -> None:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in entries:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def write_stats(path: Path, count: int, successes: int) -> None:
    path.write_text(
        json.dumps({"count": count, "successes": successes, "status_dict": {"success": successes}})
    )


Builder = Callable[[Path, list[list[Sample]]], Written]
BUILDERS: dict[str, Builder] = {
    "clip-retrieval": clip_retrieval,
    "datacomp": datacomp,
    "image-folder": image_folder,
    "image-parquet": image_parquet,
    "img2dataset": img2dataset,
    "laion": laion,
}
