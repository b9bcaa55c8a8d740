"""A run whose images were embedded while they were read and whose captions were afterwards, to take samples out of."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import yaml
from export_pool import write_tar
from PIL import Image
from whole_runs import ROOT

TINY = ROOT / "data_manifests" / "encoders" / "tiny"
BROKEN = 10
"""Of the pool's 24 samples, the one that is no image."""


def picture(seed: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (24, 24, 3), np.uint8)).save(stream, "JPEG")
    return stream.getvalue()


def caption_of(number: int) -> str:
    return f"unheard-of caption {number:03d} of a dog"


def write_purgeable(folder: Path, output: str) -> Path:
    """Write a pool of two shards, a reference, a benchmark, and a plan over them; return the plan."""
    (folder / "pool").mkdir()
    for shard in range(2):
        members: list[tuple[str, bytes | None]] = []
        for row in range(12):
            number, key = 12 * shard + row, f"{shard:05d}{row:04d}"
            told = {"url": f"http://x.test/{number}", "caption": caption_of(number)}
            image = b"no image" if number == BROKEN else picture(number)
            members += [(f"{key}.jpg", image), (f"{key}.json", json.dumps(told).encode())]
            members += [(f"{key}.txt", told["caption"].encode())]
        write_tar(folder / "pool" / f"{shard:05d}.tar", members)
    for name in ("reference", "sketch"):
        (folder / name).mkdir()
        for number in range(4):
            (folder / name / f"{number}.jpg").write_bytes(
                picture(100 + number if name == "sketch" else 200 + number)
            )
    shutil.copy(folder / "sketch" / "0.jpg", folder / "sketch" / "copy.jpg")
    plan = {
        "name": "purge",
        "pool": {"path": str(folder / "pool"), "format": "img2dataset"},
        "reference": {"path": str(folder / "reference"), "format": "image-folder"},
        "encoder": {"model": str(TINY), "pretrained": str(TINY / "open_clip_model.safetensors")},
        "benchmarks": {"sketch": {"path": str(folder / "sketch"), "format": "image-folder"}},
        "measures": {"captions": None, "clip_score": None},
        "splits": {"whole": [{"where": "true"}], "pruned": [{"near": {"to": "all"}}]},
        "engine": {"unit_rows": 1},
        "output": output,
    }
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump(plan, sort_keys=False))
    return path


def texts_of(path: Path) -> bytes:
    """Everything that a file says, decoded where it is Parquet."""
    if path.suffix == ".parquet":
        return repr(pq.read_table(path).to_pylist()).encode() + path.read_bytes()
    return path.read_bytes()


def said_of(out: Path, number: int, uid: str) -> list[str]:
    """The files that hold a sample's uid, url or caption; in `uids.npy` a uid is two numbers."""
    high, low = (int(uid[at : at + 16], 16) for at in (0, 16))
    pair = np.array([high, low], np.uint64).tobytes()
    names = [uid.encode(), f'http://x.test/{number}"'.encode(), caption_of(number).encode(), pair]
    names.append(f"'http://x.test/{number}'".encode())
    found = []
    for path in sorted(path for path in out.rglob("*") if path.is_file()):
        content = texts_of(path)
        found += [str(path.relative_to(out))] * any(name in content for name in names)
    return found
