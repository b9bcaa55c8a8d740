"""The sets of a small finished run: vectors around shared centres, painted images, and planted copies."""

from __future__ import annotations

import io
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image, ImageDraw

WIDTH, PARTS, NEIGHBOURS = 24, 3, 6
SIZES = {"pool": 300, "reference": 120, "photo": 50, "sketch": 40}
BENCHMARKS = ("photo", "sketch")
# Pool rows that have the very file of a query, and pool rows whose vector alone is the query's.
IDENTICAL = {(5, "photo", 3), (117, "photo", 7), (250, "sketch", 11)}
COPIED = {(40, "photo", 20), (41, "sketch", 21)}
NEAR = {(60 + at, "photo", 30 + at) for at in range(8)}


@dataclass
class Drawn:
    """One set: its vectors and columns."""

    vectors: NDArray[np.float64]
    keys: list[str]
    captions: list[str | None]
    labels: list[str | None]
    images: list[bytes] | None
    uids: list[str] = field(default_factory=list)
    table: pa.Table | None = None


def paint(seed: int, tint: int) -> bytes:
    """A small PNG that differs by seed."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (64, 64), tuple(int(v) for v in rng.integers(120, 235, 3)))
    draw = ImageDraw.Draw(image)
    for _ in range(3):
        x, y, size = (int(v) for v in rng.integers((4, 4, 12), (36, 36, 30)))
        colour = tuple(int(v) for v in (rng.integers(0, 200, 3) + tint) % 256)
        (draw.ellipse if rng.random() < 0.5 else draw.rectangle)((x, y, x + size, y + size), fill=colour)
    target = io.BytesIO()
    image.save(target, "PNG")
    return target.getvalue()


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit vectors with float16 values."""
    scaled = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return scaled.astype(np.float16).astype(np.float64)


def draw_sets(images: bool, reference: bool) -> dict[str, Drawn]:
    """Draw all sets around shared centres and plant the copies."""
    rng = np.random.default_rng(7)
    centres = rng.standard_normal((5, WIDTH))
    classes = ["fire_truck", "sea lion", "cup", "maple", "bridge"]
    sets = {}
    for number, (name, size) in enumerate(SIZES.items()):
        if name == "reference" and not reference:
            continue
        chosen = rng.integers(0, 5, size)
        vectors = unit(centres[chosen] + 0.55 * rng.standard_normal((size, WIDTH)))
        labels = [classes[c] if name != "pool" else None for c in chosen]
        captions = [
            f"a picture of a {classes[c].replace('_', ' ')}" if name == "pool" else None for c in chosen
        ]
        keys = [
            f"{i // 100:05d}{i:04d}" if name == "pool" else f"{classes[c]}/{name}-{i}.png"
            for i, c in enumerate(chosen)
        ]
        painted = [paint(1000 * number + i, 40 * number) for i in range(size)] if images else None
        sets[name] = Drawn(vectors, keys, captions, labels, painted)
    plant(sets)
    return sets


def plant(sets: dict[str, Drawn]) -> None:
    pool = sets["pool"]
    rng = np.random.default_rng(8)
    for row, benchmark, query in sorted(IDENTICAL | COPIED):
        pool.vectors[row] = sets[benchmark].vectors[query]
        if (
            pool.images is not None
            and sets[benchmark].images is not None
            and (row, benchmark, query) in IDENTICAL
        ):
            pool.images[row] = sets[benchmark].images[query]
    for row, benchmark, query in sorted(NEAR):
        pool.vectors[row] = unit(sets[benchmark].vectors[[query]] + 0.045 * rng.standard_normal((1, WIDTH)))[
            0
        ]
    pool.captions[5] = "a picture of something else"
    label = sets["photo"].labels[7] or ""
    sets["photo"].captions[7] = pool.captions[117] = f"The very same words, {label.replace('_', ' ')}."


def mixed_columns() -> dict[str, pa.Array]:
    """Columns of the pool's length of every kind; the score is NaN at 4, NULL at 5 and adds up only exactly."""
    size = SIZES["pool"]
    score = np.random.default_rng(3).standard_normal(size) * 10.0 ** np.arange(-8, 8)[np.arange(size) % 16]
    score[4] = np.nan
    return {
        "score": pa.array(score, mask=np.arange(size) == 5),
        "good": pa.array(np.arange(size) % 4 == 0),
        "tags": pa.array(
            [["a"] * (at % 3) if at % 10 else None for at in range(size)], pa.list_(pa.string())
        ),
        "language": pa.array(["en" if at % 7 else None for at in range(size)], pa.string()),
        "endless": pa.array([np.inf] + [1.0] * (size - 1)),
    }
