"""The world's image-text pool, written in the shape of img2dataset 1.47: tars, sidecar Parquet, stats."""

from __future__ import annotations

import hashlib
import io
import json
import math
import tarfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from pipeline.world.captions import alt_text
from pipeline.world.plants import Plant, copy_of, jpeg
from pipeline.world.scene import BENCHMARK_LABELS, LABELS, sample_scene
from pipeline.world.styles import PAINTERS

SHARDS = 5
FIXED_TIME = 1_600_000_000  # so that the same seed gives the same bytes
STYLE_SHARES = {"photo": 0.90, "sketch": 0.04, "rendition": 0.06}
FAILED_SHARE = 0.01
FAILURES = (
    ("failed_to_download", "HTTP Error 404: Not Found"),
    ("failed_to_download", "<urlopen error [Errno -2] Name or service not known>"),
    ("failed_to_download", "The read operation timed out"),
    ("failed_to_resize", "Image decoding error"),
)
SIZES = ("width", "height", "original_width", "original_height")
SCHEMA = pa.schema(
    [
        ("pwatermark", pa.float64()),
        *((name, pa.string()) for name in ("caption", "url", "key", "status", "error_message")),
        *((name, pa.int32()) for name in SIZES),
        *((name, pa.string()) for name in ("exif", "sha256")),
    ]
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One attempted row: what was asked for, and the image bytes or None where the download failed."""

    url: str
    caption: str
    image: bytes | None
    pwatermark: float
    enlarged: int


def render_sample(seed: int, index: int, plant: Plant | None, *, failed: bool) -> Sample:
    """Render pool sample `index`; it depends on the seed, its index and its plant alone."""
    rng = np.random.default_rng([seed, 0, index])
    style = str(rng.choice(list(STYLE_SHARES), p=list(STYLE_SHARES.values())))
    scene = sample_scene(rng, str(rng.choice(LABELS, p=_label_shares())))
    if plant is not None:
        style, scene = plant.benchmark, plant.picture.scene
    site, folder = int(rng.integers(40)), scene.thing.label
    url = f"https://img{site}.example.{('com', 'org', 'net')[site % 3]}/{folder}/{seed}-{index:07d}.jpg"
    caption, watermark, enlarged = alt_text(rng, scene, style), float(rng.beta(1, 6)), int(rng.integers(1, 7))
    if failed:
        return Sample(url, caption, None, watermark, enlarged)
    image = copy_of(plant, rng) if plant is not None else jpeg(PAINTERS[style](scene))
    return Sample(url, caption, image, watermark, enlarged)


def _label_shares() -> list[float]:
    """A long tail over all classes, with the benchmarks' classes less common than the others."""
    heavy = [
        (1.0 if label in BENCHMARK_LABELS else 4.0) / (3 + (11 * rank) % 28)
        for rank, label in enumerate(LABELS)
    ]
    return [weight / math.fsum(heavy) for weight in heavy]


def choose_failed(
    rng: np.random.Generator, attempted: int, failures: int, plants: dict[int, Plant]
) -> set[int]:
    """Choose the rows that fail, none of them a plant."""
    free = np.array([index for index in range(attempted) if index not in plants])
    return set(rng.choice(free, size=failures, replace=False).tolist())


def write_pool(
    folder: Path, seed: int, attempted: int, plants: dict[int, Plant], failed: set[int]
) -> dict[int, dict[str, Any]]:
    """Write all shards; returns the sidecar row of every planted sample by its index."""
    folder.mkdir(parents=True, exist_ok=True)
    each = math.ceil(attempted / SHARDS)
    digits = max(1, math.ceil(math.log10(each)))
    rows: dict[int, dict[str, Any]] = {}
    for shard in range(SHARDS):
        indices = list(range(shard * each, min((shard + 1) * each, attempted)))
        hurry = np.random.default_rng([seed, 5, shard]).uniform(0, 6, size=len(indices))
        arrived = np.argsort(
            np.arange(len(indices)) + hurry, kind="stable"
        ).tolist()  # downloads overtake each other
        numbered = [(f"{shard:05d}{row:0{digits}d}", indices[row]) for row in arrived]
        samples = {i: render_sample(seed, i, plants.get(i), failed=i in failed) for i in indices}
        written = {i: sidecar_row(key, samples[i], i) for key, i in numbered}
        _write_shard(folder, shard, [(written[i], samples[i]) for _, i in numbered])
        rows.update({i: row for i, row in written.items() if i in plants})
    return rows


def sidecar_row(key: str, sample: Sample, index: int) -> dict[str, Any]:
    """The row of the sidecar Parquet, which is also the sample's JSON."""
    status, message = FAILURES[index % len(FAILURES)] if sample.image is None else ("success", None)
    row = {"pwatermark": sample.pwatermark, "caption": sample.caption, "url": sample.url, "key": key}
    row |= {"status": status, "error_message": message, **dict.fromkeys(SIZES), "exif": None, "sha256": None}
    if sample.image is not None:
        wide, tall = Image.open(io.BytesIO(sample.image)).size
        original = wide * sample.enlarged, tall * sample.enlarged
        row |= zip(SIZES, (wide, tall, *original), strict=True)
        row |= {"exif": "{}", "sha256": hashlib.sha256(sample.image).hexdigest()}
    return row


def _write_shard(folder: Path, shard: int, rows: list[tuple[dict[str, Any], Sample]]) -> None:
    with tarfile.open(folder / f"{shard:05d}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        for row, sample in rows:
            if sample.image is not None:
                _add(tar, f"{row['key']}.jpg", sample.image)
                _add(tar, f"{row['key']}.json", json.dumps(row, indent=4).encode())
                _add(tar, f"{row['key']}.txt", sample.caption.encode())
    table = pa.Table.from_pylist([row for row, _ in rows], schema=SCHEMA)
    pq.write_table(table, folder / f"{shard:05d}.parquet", row_group_size=100)
    statuses = Counter(row["status"].replace("success", "successes") for row, _ in rows)
    messages = Counter(row["error_message"] or "success" for row, _ in rows)
    stats = {
        "count": len(rows),
        **{status: statuses[status] for status in ("successes", "failed_to_download", "failed_to_resize")},
        "duration": 1.0,
        "start_time": float(FIXED_TIME),
        "end_time": FIXED_TIME + 1.0,
        "status_dict": dict(messages),
    }
    (folder / f"{shard:05d}_stats.json").write_text(json.dumps(stats, indent=4))


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = len(content), 0o444, FIXED_TIME
    member.uname = member.gname = "bigdata"
    tar.addfile(member, io.BytesIO(content))
