"""Plots of sections: lines and points over two axes, each linear or logarithmic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.report.drawing.axes import Box, Chart, Curve, Dot, Scale, Tick, line, plain, px, ticks
from pipeline.report.drawing.charts import marks
from pipeline.report.drawing.text import brief, count, number

STYLES = ("s1", "s2", "s3", "s4", "s5", "s6")
"""Colours and dashes that can be told apart in one chart, beside `pool` and `ref`."""
PERCENTAGES = (0.1, 1, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99, 99.9)
"""Ticks of an axis by logit."""
MOST_POINTS = 600
"""Points of a line; more cannot be told apart, and make the page large."""


@dataclass(frozen=True, slots=True)
class Trace:
    """A line or a cloud of points.

    Attributes:
        name: What the legend calls it.
        style: Its colour and dash.
        points: `(x, y)`, finite, in the order in which they are joined.
        names: Of points that are not joined: what a pointer shows for each; empty for a line.
    """

    name: str
    style: str
    points: Sequence[tuple[float, float]]
    names: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis.

    Attributes:
        label: What it shows, with unit.
        decades: Whether it is logarithmic; values below 1 then stand on its lower end.
        bounds: Lowest and highest value; those of the points if None.
        whole: Whether it counts something, and ticks are whole numbers.
        logits: Whether percentages within (0, 100) stand by their logit, as accuracies of robustness do.
    """

    label: str
    decades: bool = False
    bounds: tuple[float, float] | None = None
    whole: bool = False
    logits: bool = False

    def scale(self, values: Sequence[float], start: float, stop: float) -> tuple[Scale, list[Tick]]:
        """Place the axis' values between two SVG coordinates, with ticks."""
        low, high = self.bounds or (min(values, default=0.0), max(values, default=1.0))
        if self.decades:
            top = max(1, math.ceil(math.log10(max(high, 1.0)) - 1e-9))
            every = max(1, top // 6)
            scale = Scale(-0.08 * top, top, start, stop)
            return scale, [Tick(px(scale(at)), count(10**at)) for at in range(0, top + 1, every)]
        if self.logits:
            scale = Scale(self.at(low), self.at(high) + 1e-9, start, stop)
            return scale, [Tick(px(scale(self.at(p))), plain(p)) for p in PERCENTAGES if low <= p <= high]
        if not high > low:
            low, high = low - 0.5, high + 0.5
        scale = Scale(low, high, start, stop)
        return scale, [
            Tick(px(scale(at)), plain(at)) for at in ticks(low, high, 6) if not self.whole or at == int(at)
        ]

    def at(self, value: float) -> float:
        """Write a value as the scale has it."""
        if self.logits:
            return math.log(value / (100 - value))
        if not self.decades:
            return value
        return math.log10(value) if value >= 1 else -math.inf


def plot(
    title: str, x: Axis, y: Axis, traces: Sequence[Trace], named: Sequence[tuple[float, str]] = ()
) -> Chart:
    """Draw traces over two axes; `named` are values of the horizontal axis to be marked."""
    box = Box(left=70, top=44 if named else 30)
    every = [point for trace in traces for point in trace.points]
    across, x_ticks = x.scale([*(p[0] for p in every), *(value for value, _ in named)], box.left, box.right)
    up, y_ticks = y.scale([p[1] for p in every], box.bottom, box.top)
    curves, dots = [], []
    for trace in traces:
        name = brief(trace.name)
        placed = [(across(x.at(a)), up(y.at(b))) for a, b in trace.points]
        if trace.names:
            pairs = zip(placed, trace.names, strict=True)
            dots += [Dot(px(a), px(b), trace.style, brief(said)) for (a, b), said in pairs]
        else:
            curves.append(Curve(line(_thinned(placed)), trace.style, name))
    return Chart(
        title,
        "; ".join(f"{brief(trace.name)}: {_summary(trace)}" for trace in traces),
        box,
        x.label,
        y.label,
        x_ticks,
        y_ticks,
        curves,
        marks(across, box, [(x.at(value), name) for value, name in named]),
        dots=dots,
        legend=[(trace.style, brief(trace.name)) for trace in traces],
    )


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Take at most `MOST_POINTS`, evenly by position, the first and the last among them."""
    if len(points) <= MOST_POINTS:
        return list(points)
    step = (len(points) - 1) / (MOST_POINTS - 1)
    return [points[round(at * step)] for at in range(MOST_POINTS)]


def _summary(trace: Trace) -> str:
    values = [value for _, value in trace.points]
    if not values:
        return "no value"
    return f"{count(len(values))} values from {number(min(values))} to {number(max(values))}"
