"""The three looks of the world: photo, sketch and rendition. Each paints a `Scene` as an RGB image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from pipeline.world.canvas import (
    OVERSAMPLE,
    Pixels,
    Placed,
    axes,
    blank,
    corners,
    draw,
    mask,
    palette,
    placed,
    smooth_noise,
    to_image,
    unit,
)
from pipeline.world.geometry import Points
from pipeline.world.scene import COLOURS, PLACES, Colour, Scene, Thing


def photo(scene: Scene) -> Image.Image:
    """A shaded, textured, slightly blurred and noisy view, with a shadow and a blurred second object."""
    rng = np.random.default_rng(scene.seed)
    pixels = _surroundings(scene, rng)
    if scene.other is not None:
        pixels = unit(
            to_image(_stand(pixels, scene.other, "plain", scene, rng)).filter(ImageFilter.GaussianBlur(1.4))
        )
    pixels = _stand(pixels, scene.thing, scene.pattern, scene, rng)
    x, y = axes(scene.size)
    vignette = 1.0 - float(rng.uniform(0.1, 0.5)) * ((x - 0.5) ** 2 + (y - 0.5) ** 2)
    tint = rng.uniform(0.88, 1.1, size=3).astype(np.float32)
    image = to_image(pixels * vignette * tint).filter(ImageFilter.GaussianBlur(float(rng.uniform(0.2, 0.7))))
    grain = rng.standard_normal((scene.size[1], scene.size[0], 1), dtype=np.float32)
    return to_image(unit(image) + grain * float(rng.uniform(0.006, 0.02)))


def _surroundings(scene: Scene, rng: np.random.Generator) -> Pixels:
    upper, lower, meet, rough = PLACES[scene.place]
    x, y = axes(scene.size)
    line = meet + float(rng.uniform(-0.12, 0.12)) + float(rng.uniform(-0.15, 0.15)) * (x - 0.5)
    below = np.clip((y - line) * float(rng.uniform(8, 40)) + 0.5, 0.0, 1.0)
    both = (np.array([upper, lower]) / 255.0 + rng.uniform(-0.08, 0.08, size=(2, 3))).astype(np.float32)
    sky = both[0] + (y - 0.4) * float(rng.uniform(0.05, 0.25))
    ground = both[1]
    broad = smooth_noise(rng, scene.size, int(rng.integers(3, 7))) - 0.5
    fine = smooth_noise(rng, scene.size, int(rng.integers(14, 26))) - 0.5
    texture = broad * 0.35 + fine * 0.5 * rough * (0.3 + below)
    blended: Pixels = sky + (ground - sky) * below + texture
    return blended


def _stand(pixels: Pixels, thing: Thing, pattern: str, scene: Scene, rng: np.random.Generator) -> Pixels:
    """Put `thing` with its shadow, pattern and shading into the picture."""
    parts = placed(thing, scene.size)
    sheet = blank("RGB", scene.size, (0, 0, 0))
    draw(sheet, parts, palette(thing))
    cover = mask(parts, scene.size)
    alpha = unit(cover)
    soft = unit(cover.filter(ImageFilter.GaussianBlur(5)))
    shift = (int(4 * np.cos(scene.light)), 3 + int(2 * np.sin(scene.light)))
    pixels = pixels * (1.0 - 0.45 * np.roll(soft, shift, axis=(1, 0)))
    body: Pixels = unit(sheet.reduce(OVERSAMPLE)) / np.maximum(alpha, 1e-3)
    weave: Pixels = unit(mask(parts, scene.size, ("main",))) * (_weave(pattern, scene.size, rng) - 1.0) + 1.0
    x, y = axes(scene.size)
    slope = (x - 0.5) * float(np.cos(scene.light)) + (y - 0.5) * float(np.sin(scene.light))
    shade = (0.55 + 0.5 * soft) * (1.0 + 0.7 * slope)
    blended: Pixels = pixels + (body * weave * shade - pixels) * alpha
    return blended


def _weave(pattern: str, size: tuple[int, int], rng: np.random.Generator) -> Pixels:
    """How much a surface pattern darkens each pixel, 1 for not at all."""
    x, y = axes(size)
    turn, pitch = float(rng.uniform(0, np.pi)), float(rng.uniform(25, 70))
    along = x * float(np.cos(turn)) + y * float(np.sin(turn))
    across = y * float(np.cos(turn)) - x * float(np.sin(turn))
    weave: Pixels = np.ones_like(along)
    if pattern == "striped":
        weave = 0.7 + 0.3 * np.sign(np.sin(pitch * along))
    elif pattern == "spotted":
        weave = 0.8 - 0.25 * np.tanh(4 * np.sin(pitch * along) * np.sin(pitch * across) - 1)
    elif pattern == "mottled":
        weave = 0.55 + 0.7 * smooth_noise(rng, size, 12)
    return weave


def sketch(scene: Scene) -> Image.Image:
    """Black strokes on white paper: outlines gone over by hand, and hatching on the main surface."""
    rng = np.random.default_rng(scene.seed)
    paper, ink = int(rng.integers(243, 256)), int(rng.integers(0, 70))
    image = blank("L", scene.size, paper)
    pen = ImageDraw.Draw(image)
    if scene.place != "studio":
        _ground_lines(pen, image.size, PLACES[scene.place][2], rng)
    for thing in (scene.other, scene.thing):
        if thing is not None:
            parts, width = placed(thing, scene.size), int(rng.integers(2, 5))
            for points, role in parts:
                pen.polygon(corners(points), fill=paper)
                _outline(pen, points, ink, width if role == "main" else max(1, width - 1), rng)
    if scene.pattern != "plain":
        image = _hatch(image, placed(scene.thing, scene.size), scene.pattern, rng)
    soft = image.reduce(OVERSAMPLE).filter(ImageFilter.GaussianBlur(float(rng.uniform(0.0, 0.4))))
    return soft.convert("RGB")


def _outline(
    pen: ImageDraw.ImageDraw, points: Points, ink: int, width: int, rng: np.random.Generator
) -> None:
    for _ in range(int(rng.integers(1, 3))):
        wobble = points + rng.normal(0.0, 1.0, size=points.shape)
        pen.line(corners(np.vstack([wobble, wobble[:1]])), fill=ink, width=width, joint="curve")


def _hatch(image: Image.Image, parts: list[Placed], pattern: str, rng: np.random.Generator) -> Image.Image:
    """Rule or dot the main surface, where no other part covers it."""
    sheet = Image.new("L", image.size, 255)
    pen, pitch, slant = ImageDraw.Draw(sheet), int(rng.integers(7, 13)), float(rng.uniform(-1.2, 1.2))
    wide, tall = image.size
    if pattern == "spotted":
        for x, y in rng.uniform(0, (wide, tall), size=(wide * tall // (pitch * pitch * 2), 2)).tolist():
            pen.ellipse((x - 2, y - 2, x + 2, y + 2), fill=60)
    else:
        for left in range(-2 * tall, wide + 2 * tall, pitch):
            pen.line([(left, 0), (left + slant * tall, tall)], fill=90, width=1)
    cover = Image.new("L", image.size, 0)
    stencil = ImageDraw.Draw(cover)
    for points, role in parts:
        stencil.polygon(corners(points), fill=255 if role == "main" else 0)
    return Image.composite(ImageChops.darker(image, sheet), image, cover)


def _ground_lines(
    pen: ImageDraw.ImageDraw, size: tuple[int, int], meet: float, rng: np.random.Generator
) -> None:
    for _ in range(int(rng.integers(1, 6))):
        y = size[1] * (meet + rng.uniform(0.0, 0.35))
        start, end = sorted(rng.uniform(0, size[0], size=2).tolist())
        pen.line([(start, y), (end, y + rng.normal(0, 3))], fill=int(rng.integers(40, 150)), width=2)


def rendition(scene: Scene) -> Image.Image:
    """A poster, cartoon or painting: flat colours from a small palette on a patterned ground."""
    rng = np.random.default_rng(scene.seed)
    image = _backdrop(scene, rng)
    kind = ("poster", "cartoon", "painting")[int(rng.integers(3))]
    for thing in (scene.other, scene.thing):
        if thing is not None:
            parts = placed(thing, scene.size)
            draw(image, parts, {role: _flat(colour) for role, colour in palette(thing).items()})
            pen = ImageDraw.Draw(image)
            for points, _ in parts if kind != "poster" else ():
                pen.line(corners(np.vstack([points, points[:1]])), fill=(15, 12, 20), width=3)
    image = image.reduce(OVERSAMPLE)
    return image.filter(ImageFilter.ModeFilter(5)) if kind == "painting" else image


def _flat(colour: Colour) -> Colour:
    """The nearest colour of the printer's palette: three levels a channel, saturated."""
    r, g, b = (min(255, max(0, round((c - 20) / 96) * 112 + 16)) for c in colour)
    return r, g, b


def _backdrop(scene: Scene, rng: np.random.Generator) -> Image.Image:
    """Rays, bands, dots or a plain two-tone ground."""
    names = [name for name in COLOURS if name != scene.thing.main]
    first, second = (_flat(COLOURS[names[i]]) for i in rng.choice(len(names), size=2, replace=False))
    image = blank("RGB", scene.size, first)
    pen, (wide, tall), pitch = ImageDraw.Draw(image), image.size, int(rng.integers(14, 40))
    kind = int(rng.integers(4))
    if kind == 0:
        hub, count = (wide * rng.uniform(0.2, 0.8), tall * rng.uniform(0.2, 0.9)), int(rng.integers(5, 12))
        for i in range(count):
            a, b = (2 * np.pi * (i + half) / count for half in (0.0, 0.5))
            reach = [(hub[0] + 500 * np.cos(t), hub[1] + 500 * np.sin(t)) for t in (a, b)]
            pen.polygon([hub, *reach], fill=second)
    elif kind == 1:
        for y in range(0, tall, 2 * pitch):
            pen.rectangle((0, y, wide, y + pitch), fill=second)
    elif kind == 2:
        for x in range(0, wide + pitch, pitch):
            for y in range(0, tall + pitch, pitch):
                pen.ellipse((x, y, x + pitch * 0.5, y + pitch * 0.5), fill=second)
    else:
        pen.rectangle((0, int(tall * PLACES[scene.place][2]), wide, tall), fill=second)
    return image


PAINTERS: dict[str, Callable[[Scene], Image.Image]] = {
    "photo": photo,
    "sketch": sketch,
    "rendition": rendition,
}
