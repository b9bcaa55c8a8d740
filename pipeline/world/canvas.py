"""What the styles share: placing parts on the canvas, smooth noise, masks."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipeline.world.geometry import Points, rotation
from pipeline.world.scene import CLASSES, COLOURS, Colour, Thing

Pixels: TypeAlias = NDArray[np.floating[Any]]  # (height, width, 1 or 3), 0 to 1
Placed: TypeAlias = tuple[Points, str]  # corners in oversampled pixels, role

OVERSAMPLE = 2  # parts are drawn at twice the size and averaged, for smooth edges


def placed(thing: Thing, size: tuple[int, int]) -> list[Placed]:
    """Return the parts of `thing` as (corners in oversampled pixels, role), back to front."""
    short = min(size)
    matrix = rotation(thing.turn) * thing.scale * short * OVERSAMPLE
    mirror = np.array([-1.0 if thing.flipped else 1.0, 1.0])
    middle = np.array([size[0] - short, size[1] - short]) / 2.0
    origin = (np.array(thing.centre) * short + middle) * OVERSAMPLE
    return [
        ((part.points * mirror) @ matrix.T + origin, part.role) for part in CLASSES[thing.label](thing.traits)
    ]


def palette(thing: Thing) -> dict[str, Colour]:
    """The colour of each role of `thing`."""
    main, accent = COLOURS[thing.main], COLOURS[thing.accent]
    dark = tuple(int(0.28 * c) + 12 for c in main)
    return {"main": main, "accent": accent, "dark": (dark[0], dark[1], dark[2]), "light": (238, 232, 214)}


def blank(mode: str, size: tuple[int, int], colour: int | Colour) -> Image.Image:
    """An oversampled canvas of one colour."""
    return Image.new(mode, (size[0] * OVERSAMPLE, size[1] * OVERSAMPLE), colour)


def corners(points: Points) -> list[tuple[float, float]]:
    """The points as Pillow takes them."""
    return [(x, y) for x, y in points.tolist()]


def draw(image: Image.Image, parts: list[Placed], colours: dict[str, Colour]) -> None:
    """Fill `parts` with their colours."""
    pen = ImageDraw.Draw(image)
    for points, role in parts:
        pen.polygon(corners(points), fill=colours[role])


def mask(parts: list[Placed], size: tuple[int, int], roles: tuple[str, ...] = ()) -> Image.Image:
    """Coverage (L, final size) of the parts, or of those in `roles` where no other part covers them."""
    image = blank("L", size, 0)
    pen = ImageDraw.Draw(image)
    for points, role in parts:
        pen.polygon(corners(points), fill=255 if not roles or role in roles else 0)
    return image.reduce(OVERSAMPLE)


def unit(image: Image.Image) -> Pixels:
    """Pixels of `image` as float32 in [0, 1]; a grey image gets a last axis of 1."""
    pixels = np.asarray(image, dtype=np.float32) / 255.0
    return pixels[..., None] if pixels.ndim == 2 else pixels


def to_image(pixels: Pixels) -> Image.Image:
    """The RGB image of float pixels in [0, 1], clipped."""
    return Image.fromarray((np.clip(pixels, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8))


def smooth_noise(rng: np.random.Generator, size: tuple[int, int], cells: int) -> Pixels:
    """Noise in [0, 1] that varies over about 1/`cells` of the image; shape (height, width, 1)."""
    grid = Image.fromarray(rng.integers(0, 256, size=(cells, cells), dtype=np.uint8))
    return unit(grid.resize(size, Image.Resampling.BICUBIC))


def axes(size: tuple[int, int]) -> tuple[Pixels, Pixels]:
    """Column and row coordinates in [0, 1], shaped (1, width, 1) and (height, 1, 1)."""
    x = np.linspace(0.0, 1.0, size[0], dtype=np.float32)[None, :, None]
    y = np.linspace(0.0, 1.0, size[1], dtype=np.float32)[:, None, None]
    return x, y
