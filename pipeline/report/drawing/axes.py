"""Scales, ticks and paths of a chart; coordinates are SVG units, rounded so that bytes are stable."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MINUS = "\u2212"


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear map from values to SVG units."""

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        """Place a value, held inside the scale."""
        inside = min(max(value, self.low), self.high)
        return self.start + (inside - self.low) / (self.high - self.low) * (self.stop - self.start)


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled place on an axis."""

    at: str
    label: str


@dataclass(frozen=True, slots=True)
class Curve:
    """A path: `style` names its colour and dash, `name` is what a pointer shows; `area` paths are filled."""

    path: str
    style: str
    name: str
    area: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """A vertical line at a named value; `level` is how far below the plot's top its label stands."""

    at: str
    label: str
    level: str
    anchor: str = "start"


@dataclass(frozen=True, slots=True)
class Label:
    """Text in the plot."""

    x: str
    y: str
    text: str
    anchor: str = "start"
    style: str = ""


@dataclass(frozen=True, slots=True)
class Dot:
    """A point of a curve."""

    x: str
    y: str
    style: str
    name: str


@dataclass(frozen=True, slots=True)
class Box:
    """The chart's size and, inside, the plot's edges."""

    width: int = 560
    height: int = 320
    left: int = 58
    top: int = 30
    right: int = 544
    bottom: int = 268

    @property
    def middle(self) -> float:
        """The plot's horizontal middle."""
        return (self.left + self.right) / 2


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart as the template draws it; `turned` writes the vertical axis' label along it, else below."""

    title: str
    about: str
    box: Box
    x_label: str
    y_label: str
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    curves: Sequence[Curve] = ()
    marks: Sequence[Mark] = ()
    labels: Sequence[Label] = ()
    dots: Sequence[Dot] = ()
    legend: Sequence[tuple[str, str]] = ()
    turned: bool = True


def px(value: float) -> str:
    """Write a coordinate with at most one decimal."""
    return f"{value:.1f}".removesuffix(".0")


def ticks(low: float, high: float, about: int = 8) -> list[float]:
    """Choose round values between two bounds, about as many as asked for."""
    raw = (high - low) / max(about, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(at * step, 10) for at in range(first, last + 1)]


def plain(value: float) -> str:
    """Write a tick's value."""
    return f"{value:.10g}".replace("-", MINUS)


def decade(power: int) -> str:
    """Write 10 to a power in few characters: 1, 10, 100, 1 k, … 100 M, as an axis has room for."""
    steps_of_three, rest = divmod(power, 3)
    unit = ("", "\u202fk", "\u202fM", "\u202fG", "\u202fT")[steps_of_three]
    return f"{10**rest}{unit}"


def decades_axis(scale: Scale, highest: int) -> list[Tick]:
    """Label the powers of ten from 1 on along a scale of logarithms."""
    return [Tick(px(scale(power)), decade(power)) for power in range(highest + 1)]


def x_axis(scale: Scale, values: Iterable[float]) -> list[Tick]:
    """Label values along a scale."""
    return [Tick(px(scale(value)), plain(value)) for value in values]


def percent_axis(scale: Scale) -> list[Tick]:
    """Label shares from 0 to the scale's high end in percent."""
    return [Tick(px(scale(value)), f"{plain(round(100 * value, 6))} %") for value in ticks(0, scale.high, 5)]


def line(points: Sequence[tuple[float, float]]) -> str:
    """Draw straight segments, leaving out points inside level runs."""
    kept = [
        point
        for at, point in enumerate(points)
        if at in (0, len(points) - 1) or not points[at - 1][1] == point[1] == points[at + 1][1]
    ]
    return "M" + "L".join(f"{px(x)} {px(y)}" for x, y in kept) if kept else ""


def steps(edges: Sequence[float], tops: Sequence[float], base: float) -> str:
    """Draw bars as one closed outline: `edges` has one value more than `tops`."""
    if not tops:
        return ""
    path = [f"M{px(edges[0])} {px(base)}"]
    previous = base
    for left, right, top in zip(edges, edges[1:], tops, strict=False):
        path.append((f"H{px(left)}V{px(top)}" if top != previous else "") + f"H{px(right)}")
        previous = top
    return "".join(path) + f"V{px(base)}Z"
