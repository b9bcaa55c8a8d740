"""Flat parts that objects are made of: polygons in object coordinates (x right, y down, about -1 to 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Points: TypeAlias = NDArray[np.float64]
Role: TypeAlias = Literal["main", "accent", "dark", "light"]
Traits: TypeAlias = Sequence[float]


@dataclass(frozen=True, slots=True)
class Part:
    """One closed polygon and which of the object's four colours fills it."""

    points: Points
    role: Role


def poly(role: Role, *corners: tuple[float, float]) -> Part:
    """Make a part from its corners."""
    return Part(np.array(corners, dtype=np.float64), role)


def box(role: Role, left: float, top: float, right: float, bottom: float) -> Part:
    """Make an upright rectangle."""
    return poly(role, (left, top), (right, top), (right, bottom), (left, bottom))


def oval(role: Role, centre: tuple[float, float], radius: tuple[float, float], turn: float = 0.0) -> Part:
    """Make an ellipse of 24 corners, turned by `turn` radians clockwise."""
    angle = np.linspace(0.0, 2.0 * np.pi, 24, endpoint=False)
    flat = np.stack([radius[0] * np.cos(angle), radius[1] * np.sin(angle)], axis=1)
    return Part(flat @ rotation(turn).T + np.array(centre), role)


def disc(role: Role, x: float, y: float, radius: float) -> Part:
    """Make a circle."""
    return oval(role, (x, y), (radius, radius))


def bar(role: Role, start: tuple[float, float], end: tuple[float, float], width: float) -> Part:
    """Make a thick line from `start` to `end`."""
    a, b = np.array(start), np.array(end)
    along = (b - a) / max(float(np.hypot(*(b - a))), 1e-9)
    across = np.array([-along[1], along[0]]) * width / 2.0
    return Part(np.stack([a + across, b + across, b - across, a - across]), role)


def rotation(turn: float) -> Points:
    """The 2 x 2 matrix that turns points by `turn` radians clockwise (y points down)."""
    c, s = np.cos(turn), np.sin(turn)
    return np.array([[c, -s], [s, c]])


def spread(low: float, high: float, trait: float) -> float:
    """The point a fraction `trait` of the way from `low` to `high`."""
    return low + (high - low) * trait
