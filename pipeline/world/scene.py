"""What an image shows, drawn from a seed: object, colours, pose, place, and a second object."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np

from pipeline.world import creatures, things, vehicles
from pipeline.world.geometry import Part, Traits

Colour: TypeAlias = tuple[int, int, int]
T = TypeVar("T")

_MAKERS: tuple[Callable[[Traits], list[Part]], ...] = (
    creatures.cat, vehicles.car, things.house, creatures.fish, vehicles.sailboat, things.umbrella,
    creatures.bird, things.teapot, creatures.flower, vehicles.bicycle, things.clock, creatures.rabbit,
    vehicles.airplane, things.chair, creatures.tree, things.guitar, creatures.dog, vehicles.truck,
    things.bottle, creatures.butterfly, vehicles.train, creatures.mushroom, things.lamp, creatures.turtle,
    things.kite, creatures.snail, things.apple, things.mug,
)  # fmt: skip
CLASSES = {maker.__name__: maker for maker in _MAKERS}
LABELS = tuple(CLASSES)
BENCHMARK_LABELS = LABELS[:16]  # the pool shows all of them, so much of it is far from every benchmark

COLOURS: dict[str, Colour] = {
    "red": (200, 40, 40), "orange": (228, 130, 40), "yellow": (232, 205, 60), "green": (60, 150, 70),
    "teal": (40, 150, 150), "blue": (50, 90, 190), "purple": (120, 70, 160), "pink": (230, 130, 170),
    "brown": (125, 85, 55), "black": (45, 45, 50), "white": (236, 234, 228), "grey": (140, 142, 148),
}  # fmt: skip
COLOUR_NAMES = tuple(COLOURS)

# Place: colour of its upper part, of its lower part, where they meet (fraction of the height), roughness.
PLACES: dict[str, tuple[Colour, Colour, float, float]] = {
    "meadow": ((150, 195, 235), (90, 150, 60), 0.55, 0.5),
    "beach": ((140, 200, 240), (225, 200, 150), 0.6, 0.3),
    "street": ((170, 175, 185), (95, 95, 100), 0.65, 0.6),
    "living room": ((205, 190, 165), (140, 95, 60), 0.7, 0.25),
    "snow": ((190, 205, 225), (240, 244, 250), 0.5, 0.2),
    "night": ((20, 24, 60), (35, 35, 50), 0.6, 0.4),
    "forest": ((50, 90, 50), (80, 65, 40), 0.6, 0.9),
    "lake": ((170, 210, 235), (60, 110, 150), 0.5, 0.45),
    "desert": ((240, 190, 130), (205, 145, 80), 0.6, 0.4),
    "studio": ((215, 215, 218), (180, 180, 184), 0.75, 0.05),
}
PLACE_NAMES = tuple(PLACES)
PATTERNS = ("plain", "plain", "striped", "spotted", "mottled")
STYLES = ("photo", "sketch", "rendition")
SIZES = ((96, 96), (96, 72), (72, 96), (112, 76), (80, 80), (128, 96), (64, 64), (88, 120))


@dataclass(frozen=True, slots=True)
class Thing:
    """One object: class, traits, colours by role, and where it stands (fractions of the shorter side)."""

    label: str
    traits: tuple[float, ...]
    main: str
    accent: str
    centre: tuple[float, float]
    scale: float
    turn: float
    flipped: bool


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that a style needs to paint one image, and a caption writer to describe it."""

    thing: Thing
    other: Thing | None
    place: str
    pattern: str
    size: tuple[int, int]
    light: float
    seed: int


def pick(rng: np.random.Generator, choices: Sequence[T]) -> T:
    """Choose one of `choices` evenly."""
    return choices[int(rng.integers(len(choices)))]


def sample_thing(rng: np.random.Generator, label: str, *, small: bool = False) -> Thing:
    """Draw the look and pose of an object of class `label`; `small` puts it aside, for the background."""
    main = pick(rng, COLOUR_NAMES)
    accent = pick(rng, [name for name in COLOUR_NAMES if name != main])
    drift = rng.uniform(-0.17, 0.17, size=2)
    if small:
        drift += (float(rng.choice((-0.33, 0.33))), rng.uniform(-0.25, 0.1))
    return Thing(
        label=label,
        traits=tuple(rng.random(6).tolist()),
        main=main,
        accent=accent,
        centre=(0.5 + float(drift[0]), 0.53 + float(drift[1])),
        scale=float(rng.uniform(0.1, 0.2) if small else rng.uniform(0.27, 0.46)),
        turn=float(rng.normal(0.0, 0.16)),
        flipped=bool(rng.random() < 0.5),
    )


def sample_scene(rng: np.random.Generator, label: str) -> Scene:
    """Draw a whole scene around an object of class `label`."""
    thing = sample_thing(rng, label)
    other = sample_thing(rng, pick(rng, LABELS), small=True) if rng.random() < 0.45 else None
    return Scene(
        thing=thing,
        other=other,
        place=pick(rng, PLACE_NAMES),
        pattern=pick(rng, PATTERNS),
        size=pick(rng, SIZES),
        light=float(rng.uniform(0, 2 * np.pi)),
        seed=int(rng.integers(2**32)),
    )
