"""Near-duplicates of benchmark images, planted in the pool so that a search for them has a known answer."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance

from pipeline.world.folders import Picture

JPEG_QUALITY = 95  # what img2dataset re-encodes with
KINDS = ("exact", "re-encoded", "resized", "cropped", "brightness")


@dataclass(frozen=True, slots=True)
class Plant:
    """A pool image that copies benchmark image `picture` in the way that `kind` says."""

    benchmark: str
    picture: Picture
    kind: str


def choose_plants(
    rng: np.random.Generator, benchmarks: Mapping[str, Sequence[Picture]], samples: int, each: int
) -> dict[int, Plant]:
    """Choose `each` pictures of every benchmark, kinds in turn, and the pool positions of their copies."""
    plants = [
        Plant(name, pictures[int(position)], KINDS[turn % len(KINDS)])
        for name, pictures in benchmarks.items()
        for turn, position in enumerate(rng.choice(len(pictures), size=each, replace=False))
    ]
    places = rng.choice(samples, size=len(plants), replace=False)
    return dict(zip(places.tolist(), plants, strict=True))


def copy_of(plant: Plant, rng: np.random.Generator) -> bytes:
    """The JPEG bytes of the planted copy."""
    if plant.kind == "exact":
        return plant.picture.jpeg
    image = Image.open(io.BytesIO(plant.picture.jpeg))
    return jpeg(altered(image, plant.kind, rng), 60 if plant.kind == "re-encoded" else JPEG_QUALITY)


def altered(image: Image.Image, kind: str, rng: np.random.Generator) -> Image.Image:
    """Resize, crop or relight `image` a little; other kinds leave the pixels alone."""
    wide, tall = image.size
    if kind == "resized":
        factor = float(rng.choice((0.7, 0.8, 1.25, 1.5)))
        return image.resize((round(wide * factor), round(tall * factor)), Image.Resampling.LANCZOS)
    if kind == "cropped":
        left, top, right, bottom = rng.uniform(0.02, 0.06, size=4).tolist()
        return image.crop(
            (round(wide * left), round(tall * top), round(wide * (1 - right)), round(tall * (1 - bottom)))
        )
    if kind == "brightness":
        return ImageEnhance.Brightness(image).enhance(float(rng.choice((0.75, 0.85, 1.15, 1.25))))
    return image


def jpeg(image: Image.Image, quality: int = JPEG_QUALITY) -> bytes:
    """Encode `image` as JPEG."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
