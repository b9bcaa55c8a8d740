"""Sets for audits: embeddings whose pictures lie elsewhere, a pool with heavy losses, twenty benchmarks."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from report_draws import paint
from small_sets import plan_of, rows_of, unit, write_part, write_sets

TINY = Path(__file__).resolve().parents[2] / "data_manifests" / "encoders" / "tiny"


def write_tar(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


@dataclass(frozen=True)
class Embedded:
    """A pool and a benchmark in clip-retrieval's layout, and where their pictures lie.

    Attributes:
        pool, benchmark: The sets; every query has a near copy in the pool.
        files: Folder with the benchmark's pictures, as its `image_path` says.
        tars: Tars with the first 20 of the pool's pictures, by key, and the next 10 by url; the last 10 have none.
        pictures: File bytes by set and key.
    """

    pool: Path
    benchmark: Path
    files: Path
    tars: Path
    pictures: Mapping[tuple[str, str], bytes]


def embeddings_with_pictures(folder: Path) -> Embedded:
    """40 samples and 8 queries of 16 numbers, each query a near copy of every fifth sample."""
    vectors = unit(1, 40)
    queries = vectors[::5].astype(float) + 0.01 * np.random.default_rng(2).standard_normal((8, 16))
    queries = (queries / np.linalg.norm(queries, axis=1, keepdims=True)).astype(np.float16)
    rows = rows_of("", 0, 40)
    for at, row in enumerate(rows):
        row |= {
            "image_path": f"{at // 20:05d}{at:04d}" if at < 20 else f"other-{at}",
            "caption": f"a picture of {at}",
        }
    write_part(folder / "pool", 0, vectors, rows)
    asked = [
        {**row, "image_path": f"animals/query {at}.png", "url": ""}
        for at, row in enumerate(rows_of("", 0, 8))
    ]
    write_part(folder / "benchmark", 0, queries, asked)
    painted = [paint(at, 0) for at in range(40)]
    for at, row in enumerate(asked):
        file = folder / "files" / str(row["image_path"])
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(painted[5 * at])
    by_key = [(f"{row['image_path']}.png", painted[at]) for at, row in enumerate(rows[:20])]
    write_tar(folder / "tars" / "00000.tar", by_key)
    write_tar(folder / "tars" / "00001.tar", [(f"00001{at:04d}.png", painted[at]) for at in range(20, 30)])
    for name, some in (("00000", range(20)), ("00001", range(20, 30))):
        listed = {
            "key": [f"{name}{at:04d}" for at in some],
            "url": [str(rows[at]["url"]) for at in some],
            "status": ["success"] * len(some),
        }
        pq.write_table(pa.table(listed), folder / "tars" / f"{name}.parquet")
    pictures = {("pool", str(row["image_path"])): painted[at] for at, row in enumerate(rows[:30])}
    pictures |= {("things", str(row["image_path"])): painted[5 * at] for at, row in enumerate(asked)}
    return Embedded(folder / "pool", folder / "benchmark", folder / "files", folder / "tars", pictures)


# Of 100 rows of the lossy pool: never fetched, damaged, fetched but without an image in the tar.
FAILED, UNDECODABLE, MISSING = 20, 12, 8
LOST = FAILED + UNDECODABLE + MISSING


def lossy_world(folder: Path) -> dict[str, Any]:
    """Write a pool of 100 rows that loses 40, a benchmark that loses 2 of 12 and a reference that loses 1 of 10.

    Returns:
        A plan over them, with two splits; it embeds by the tiny encoder.
    """
    for shard in range(2):
        _lossy_shard(folder / "pool", shard, range(50 * shard, 50 * shard + 50))
    for name, count, lost in (("benchmark", 12, 2), ("reference", 10, 1)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for at in range(count):
            picture = paint(1000 + at + 100 * lost, 0)
            content = picture[:70] if at < lost else picture
            (folder / name / f"{name} {at}.png").write_bytes(content)
    return {
        "name": "lossy",
        "pool": {"path": str(folder / "pool"), "format": "img2dataset"},
        "reference": {"path": str(folder / "reference"), "format": "image-folder"},
        "benchmarks": {"things": {"path": str(folder / "benchmark"), "format": "image-folder"}},
        "encoder": {"model": str(TINY), "pretrained": str(TINY / "open_clip_model.safetensors")},
        "splits": {"pruned": [{"near": {"to": "all"}}], "half": [{"random": {"fraction": 0.5, "seed": 0}}]},
        "output": str(folder / "out"),
    }


def _lossy_shard(folder: Path, shard: int, numbers: range) -> None:
    """Of each 50 rows, 10 were never fetched, 6 are cut short and 4 have no image in the tar."""
    members, listed = [], []
    for place, number in enumerate(numbers):
        key, failed = f"{shard:05d}{place:04d}", place % 5 == 0
        row = {"key": key, "url": f"http://x.test/{number}.png", "caption": f"a thing {number}"}
        row |= {"status": "failed_to_download" if failed else "success"}
        row |= {"error_message": "HTTP Error 404: Not Found" if failed else None}
        listed.append(row)
        if failed:
            continue
        picture = paint(number, 0)
        if place not in (1, 2, 3, 4):
            members.append((f"{key}.png", picture[:60] if place in range(6, 13) and place != 10 else picture))
        members.append((f"{key}.txt", str(row["caption"]).encode()))
    write_tar(folder / f"{shard:05d}.tar", members)
    pq.write_table(pa.Table.from_pylist(listed), folder / f"{shard:05d}.parquet")
    counts = {"count": 50, "successes": 40}
    (folder / f"{shard:05d}_stats.json").write_text(json.dumps(counts))


def many_benchmarks(folder: Path) -> dict[str, Any]:
    """Write the small sets and a plan with twenty benchmarks of 6 queries each, one of a long name."""
    write_sets(folder)
    benchmarks = {}
    for at in range(20):
        name = f"benchmark_{at:02d}" + ("_of_a_name_that_is_longer_than_any_column" if at == 7 else "")
        write_part(folder / name, 0, unit(100 + at, 6), rows_of(f"b{at}-", 0, 6))
        benchmarks[name] = {"path": str(folder / name), "format": "clip-retrieval"}
    return plan_of(folder, benchmarks=benchmarks, splits={"pruned": [{"near": {"to": "all"}}]})


def empty_split(folder: Path) -> dict[str, Any]:
    """Write the small sets and a plan whose first split keeps nothing."""
    write_sets(folder)
    splits = {"nothing": [{"where": "width < 0"}], "pruned": [{"near": {"to": "all"}}]}
    return plan_of(folder, splits=splits)
