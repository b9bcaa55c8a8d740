"""A list of URLs of a hostile server, and all that a plan needs to make a training set of it: drawn, not fetched."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from hostile_server import Server, picture
from PIL import Image
from whole_runs import ROOT

TINY = ROOT / "data_manifests" / "encoders" / "tiny"
DRAWN, NEAR = 30, (3, 11, 17)
"""Images of the list that come, and those of them that the benchmark has too."""
FEW_WORDS = (5, 6, 23)
"""Images with a caption that is too short."""
DENIED = 29
FAILED = {
    "/nowhere.jpg": "HTTP status 404",
    "/drip.jpg": "slower than 1024 bytes a second",
    "/truncated.jpg": "damaged image",
    "/to-private": "the host's address is not of the public internet",
    "/noai.jpg": "its owner opted out",
    "/bomb.png": "more than 67108864 pixels",
    "/pictures/1.jpg": "the sha256 is not that of the list",
    f"/drawn/{DENIED}.png": "on a deny list",
}
"""What does not come, and why."""


@dataclass(frozen=True)
class Listed:
    """A row of the list: its path, the number of its drawn image (-1: none), whether it is a repetition."""

    path: str
    caption: str
    number: int = -1
    again: bool = False


def drawn(number: int) -> bytes:
    """An image of 16 patches of colour, which differ by its number."""
    patches = np.random.default_rng(number).integers(0, 256, (4, 4, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(patches).resize((48, 48), Image.Resampling.NEAREST).save(stream, "PNG")
    return stream.getvalue()


def rows() -> list[Listed]:
    """The list: what fails stands among what comes, and the first row stands there twice."""
    good = [Listed(f"/drawn/{n}.png", _caption(n), n) for n in range(DRAWN) if n != DENIED]
    bad = [Listed(path, f"a caption of {path}") for path in FAILED]
    for at, one in enumerate(bad):
        good.insert(4 * at + 2, one)
    return [*good, replace(good[0], again=True)]


def _caption(number: int) -> str:
    return "dog" if number in FEW_WORDS else f"sixteen patches of colour, number {number}"


def write_world(folder: Path, server: Server) -> list[Listed]:
    """Write the list, a deny list, a benchmark and a reference; let the server have the images."""
    server.own |= {f"/drawn/{number}.png": drawn(number) for number in range(DRAWN)}
    listed = rows()
    wrong = hashlib.sha256(picture(2)).hexdigest()
    lines = [
        {"url": server.url(one.path), "caption": one.caption}
        | ({"sha256": wrong} if one.path == "/pictures/1.jpg" else {})
        for one in listed
    ]
    (folder / "list.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "denied.txt").write_text(server.url(f"/drawn/{DENIED}.png") + "\n")
    for name, numbers in (("benchmark", NEAR), ("reference", range(1000, 1010))):
        (folder / name).mkdir()
        for number in numbers:
            (folder / name / f"{number}.png").write_bytes(drawn(number))
    return listed


def write_plan(folder: Path, pool: str, output: str) -> None:
    """Write `plan.yaml`: from the list to tars; only the two places differ between plans."""
    plan: dict[str, Any] = {
        "name": "from-urls",
        "pool": {
            "path": pool,
            "duplicates": "keep_first",
            "ingest": {
                "urls": str(folder / "list.jsonl"),
                "deny": {"url": str(folder / "denied.txt")},
                "loopback": True,
                "shard_rows": 15,
                "tries": 1,
            },
        },
        "encoder": {"model": str(TINY), "pretrained": str(TINY / "open_clip_model.safetensors")},
        "reference": {"path": str(folder / "reference"), "format": "image-folder"},
        "benchmarks": {"sketch": {"path": str(folder / "benchmark"), "format": "image-folder"}},
        "splits": {"pruned": [{"near": {"to": "all"}}, {"where": "captions.words >= 3"}]},
        "export": {"pruned": {"samples_per_shard": 8}},
        "engine": {"unit_rows": 1},
        "output": output,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plan.yaml").write_text(yaml.safe_dump(plan, sort_keys=False))
