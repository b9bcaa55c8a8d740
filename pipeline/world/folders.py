"""The labelled image folders of the world: the reference set and the benchmarks."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.world.scene import BENCHMARK_LABELS, Scene, sample_scene
from pipeline.world.styles import PAINTERS


@dataclass(frozen=True, slots=True)
class Picture:
    """One image of a folder: its path as readers name it (`<class>/<file>`), its bytes, what it shows."""

    key: str
    jpeg: bytes
    scene: Scene


def write_folder(folder: Path, style: str, count: int, seed: tuple[int, int]) -> list[Picture]:
    """Render `count` images of `style`, the benchmark classes in turn, and write them below `folder`.

    Args:
        folder: Where the class folders go; made if need be.
        style: A name in `PAINTERS`.
        count: Images; image i depends on `seed` and i alone.
        seed: The world's seed and this folder's own number.

    Returns:
        The pictures, in the order that an image-folder reader gives them (by key).
    """
    pictures = []
    for index in range(count):
        label = BENCHMARK_LABELS[index % len(BENCHMARK_LABELS)]
        scene = sample_scene(np.random.default_rng([*seed, index]), label)
        buffer = io.BytesIO()
        PAINTERS[style](scene).save(buffer, "JPEG", quality=95)
        pictures.append(Picture(f"{label}/{label}_{index:05d}.jpg", buffer.getvalue(), scene))
    for picture in pictures:
        path = folder / picture.key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture.jpeg)
    return sorted(pictures, key=lambda picture: picture.key)
