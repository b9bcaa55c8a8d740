"""A list of URLs of a hostile server, and all that a plan needs to make a training set of it.

The images are drawn, or they are photographs of Flickr8k and ImageNet as the folder of real data has them.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import yaml
from hostile_server import Server, picture
from PIL import Image
from whole_runs import ROOT

TINY = ROOT / "data_manifests" / "encoders" / "tiny"
NEAR = (3, 11, 17)
"""Which of the images that come the benchmark has too, byte for byte."""
GONE = "HTTP status 404"
MISDEEDS = {
    "/nowhere.jpg": GONE,
    "/drip.jpg": "slower than 1024 bytes a second",
    "/truncated.jpg": "damaged image",
    "/to-private": "the host's address is not of the public internet",
    "/noai.jpg": "its owner opted out",
    "/bomb.png": "more than 67108864 pixels",
    "/pictures/1.jpg": "the sha256 is not that of the list",
    "/pictures/2.jpg": "on a deny list",
}
"""What the server does, or who asks refuses, and what the row then says."""


@dataclass(frozen=True)
class Listed:
    """A row of the list.

    Attributes:
        path: What is asked for.
        caption: Its caption.
        body: The image that comes; empty where none does, and then `why` says why.
        near: Whether the benchmark has it too.
        again: Whether it is a row that stands there already.
    """

    path: str
    caption: str
    body: bytes = b""
    why: str = ""
    near: bool = False
    again: bool = False


@dataclass(frozen=True)
class UrlWorld:
    """Rows of the list in their order, the images of the two sets, and how long a caption must be to stay."""

    rows: list[Listed]
    benchmark: list[bytes]
    reference: list[bytes]
    words: int
    shard_rows: int = 15

    def is_short(self, row: Listed) -> bool:
        """Say whether a row's caption has too few words."""
        return len(row.caption.split()) < self.words


def drawn(number: int) -> bytes:
    """An image of 16 patches of colour, which differ by its number."""
    patches = np.random.default_rng(number).integers(0, 256, (4, 4, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(patches).resize((48, 48), Image.Resampling.NEAREST).save(stream, "PNG")
    return stream.getvalue()


def drawn_world() -> UrlWorld:
    """29 drawn images, three of them with a caption of one word."""
    captions = {number: f"sixteen patches of colour, number {number}" for number in range(29)}
    captions |= dict.fromkeys((5, 6, 23), "dog")
    good = [Listed(f"/drawn/{number}.png", caption, drawn(number)) for number, caption in captions.items()]
    return UrlWorld(_listed(good), _copies(good), [drawn(number) for number in range(1000, 1010)], 3)


def real_world(data: Path, most: int, examples: int, shard_rows: int) -> UrlWorld:
    """The first images of Flickr8k, the links of its list that are dead, and photographs of ImageNet.

    Every eighth photograph is of the benchmark, the others are of the reference.
    """
    good, dead = _flickr(data / "flickr8k", most)
    photographs = [path.read_bytes() for path in sorted((data / "imagenet-samples").glob("*/*"))[:examples]]
    benchmark, reference = _copies(good) + photographs[::8], list(photographs)
    del reference[::8]
    return UrlWorld(_listed(good + dead), benchmark, reference, 10, shard_rows)


def _flickr(folder: Path, most: int) -> tuple[list[Listed], list[Listed]]:
    good, dead = [], []
    for table in sorted(folder.glob("*.parquet")):
        with tarfile.open(table.with_suffix(".tar")) as tar:
            bodies = {member.name: tar.extractfile(member) for member in tar if member.name.endswith(".jpg")}
            for row in sorted(pq.read_table(table).to_pylist(), key=lambda row: row["key"]):
                path, body = f"/flickr8k/{row['url'].rpartition('/')[2]}", bodies.get(f"{row['key']}.jpg")
                if body is None:
                    dead.append(Listed(path, row["caption"], why=GONE))
                elif len(good) < most:
                    good.append(Listed(path, row["caption"], body.read()))
    return good, dead


def _copies(good: list[Listed]) -> list[bytes]:
    return [good[number].body for number in NEAR]


def _listed(good: list[Listed]) -> list[Listed]:
    """The list: what fails stands among what comes, and the first row stands there twice."""
    rows = [replace(row, near=number in NEAR) for number, row in enumerate(good)]
    for at, (path, why) in enumerate(MISDEEDS.items()):
        rows.insert(4 * at + 2, Listed(path, f"a caption of {path}", why=why))
    return [*rows, replace(rows[0], again=True)]


def write_world(folder: Path, world: UrlWorld, server: Server) -> None:
    """Write the list, a deny list, a benchmark and a reference; let the server have the images."""
    server.own |= {row.path: row.body for row in world.rows if row.body}
    lines = [
        {"url": server.url(row.path), "caption": row.caption, "sha256": _sha256(row)} for row in world.rows
    ]
    (folder / "list.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    denied = [row.path for row in world.rows if row.why == MISDEEDS["/pictures/2.jpg"]]
    (folder / "denied.txt").write_text("".join(f"{server.url(path)}\n" for path in denied))
    for name, images in (("benchmark", world.benchmark), ("reference", world.reference)):
        (folder / name).mkdir()
        for number, image in enumerate(images):
            suffix = "png" if image.startswith(b"\x89PNG") else "jpg"
            (folder / name / f"{number:04d}.{suffix}").write_bytes(image)


def _sha256(row: Listed) -> str | None:
    """What the list says of a row's bytes: the truth, or what is no longer so."""
    if row.path == "/pictures/1.jpg":
        return hashlib.sha256(picture(2)).hexdigest()
    return hashlib.sha256(row.body).hexdigest() if row.body else None


def write_plan(folder: Path, world: UrlWorld, pool: str, output: str) -> None:
    """Write `plan.yaml`: from the list to tars; only the two places differ between plans of a world."""
    plan: dict[str, Any] = {
        "name": "from-urls",
        "pool": {
            "path": pool,
            "duplicates": "keep_first",
            "ingest": {
                "urls": str(folder / "list.jsonl"),
                "deny": {"url": str(folder / "denied.txt")},
                "loopback": True,
                "shard_rows": world.shard_rows,
                "tries": 1,
            },
        },
        "encoder": {"model": str(TINY), "pretrained": str(TINY / "open_clip_model.safetensors")},
        "reference": {"path": str(folder / "reference"), "format": "image-folder"},
        "benchmarks": {"sketch": {"path": str(folder / "benchmark"), "format": "image-folder"}},
        "splits": {"pruned": [{"near": {"to": "all"}}, {"where": f"captions.words >= {world.words}"}]},
        "export": {"pruned": {"samples_per_shard": 8}},
        "engine": {"unit_rows": 1},
        "output": output,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plan.yaml").write_text(yaml.safe_dump(plan, sort_keys=False))
