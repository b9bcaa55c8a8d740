"""The charts of a report, from counts; each says in words what it shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curation.audit import SIMILARITIES, STEPS_PER_UNIT, FloatArray, Gap, IntArray
from pipeline.report.drawing.axes import (
    Box,
    Chart,
    Curve,
    Dot,
    Label,
    Mark,
    Scale,
    Tick,
    line,
    percent_axis,
    plain,
    px,
    steps,
    ticks,
    x_axis,
)
from pipeline.report.drawing.text import count, percent, similarity

ROW = 46
# About as many bars as can be told apart in a row.
BARS = 44
# Axis labels take so many characters of a name; the legend has it whole.
NAME_LENGTH = 20


@dataclass(frozen=True, slots=True)
class Series:
    """A set's similarity gap; `key` is the set's, `name` what is shown, `style` its colour and dash."""

    key: str
    name: str
    style: str
    gap: Gap
    medians: tuple[float, ...]


def spread(lows: Sequence[float], highs: Sequence[float], include: Sequence[float]) -> tuple[float, float]:
    """Find bounds on multiples of 1/32 around everything that is to be seen."""
    low, high = min([*lows, *include]), max([*highs, *include])
    low, high = math.floor(low * 32 - 0.25) / 32, math.ceil(high * 32 + 0.25) / 32
    return low, max(high, low + 1 / 16)


def gap_bounds(series: Sequence[Series], levels: Sequence[float]) -> tuple[float, float]:
    """Bounds for the similarity axis of one benchmark's charts."""
    found = [each.gap.quantiles for each in series if each.gap.answered]
    low, high = spread([q[0] for q in found], [q[-1] for q in found], levels)
    return max(low, -1.0), min(high, 1.0 + 1 / 64)


def bars_between(counts: IntArray, reach: int, bounds: tuple[float, float]) -> tuple[FloatArray, IntArray]:
    """Merge fine bins into about `BARS` wider ones between the bounds."""
    wide = 2 ** max(0, math.ceil(math.log2((bounds[1] - bounds[0]) * STEPS_PER_UNIT / BARS)))
    first = math.floor(bounds[0] * STEPS_PER_UNIT / wide) * wide
    last = math.ceil(bounds[1] * STEPS_PER_UNIT / wide) * wide
    edges = np.arange(first, last + 1, wide)
    padded = np.concatenate([[0], counts.cumsum()])
    below = padded[np.clip(edges + reach, 0, 2 * reach)]
    return edges / STEPS_PER_UNIT, np.diff(below)


def marks(scale: Scale, box: Box, values: Sequence[tuple[float, str]]) -> list[Mark]:
    """Label named values above the plot, in rows where they are close."""
    placed: list[Mark] = []
    for value, name in sorted(values):
        at = scale(value)
        anchor = "end" if at > box.middle else "start"
        near = {float(other.level) for other in placed if abs(at - float(other.at)) < 110}
        level = next(row for row in (box.top - 7 - 12 * n for n in range(len(placed) + 1)) if row not in near)
        placed.append(Mark(px(at), name, px(level), anchor))
    return placed


def ridges(
    series: Sequence[Series], bounds: tuple[float, float], levels: Sequence[tuple[float, str]]
) -> Chart:
    """Histograms of the nearest similarity, one row per set on one axis."""
    bottom = 34 + ROW * len(series)
    box = Box(height=bottom + 52, left=142, top=34, right=470, bottom=bottom)
    across = Scale(*bounds, box.left, box.right)
    bars = [bars_between(each.gap.counts, SIMILARITIES.reach, bounds) for each in series]
    shares = [counts / max(each.gap.queries, 1) for each, (_, counts) in zip(series, bars, strict=True)]
    highest = max((float(share.max(initial=0)) for share in shares), default=0) or 1.0
    curves, labels, y_ticks = [], [], []
    for at, (each, (edges, _), share) in enumerate(zip(series, bars, shares, strict=True)):
        base = box.top + ROW * (at + 1)
        up = Scale(0, highest, base, base - ROW + 8)
        path = steps([across(e) for e in edges], [up(s) for s in share], base)
        curves.append(Curve(path, each.style, _summary(each), area=True))
        name = each.name if len(each.name) <= NAME_LENGTH else each.name[: NAME_LENGTH - 1] + "…"
        labels.append(Label(px(box.left - 10), px(base - 6), name, "end", "name"))
        median = each.gap.quantiles[4] if each.gap.answered else None
        labels.append(Label(px(box.right + 8), px(base - 6), similarity(median), "start", "number"))
        y_ticks.append(Tick(px(base), ""))
    labels.append(Label(px(box.right + 8), px(box.top - 7), "median", "start", "head"))
    return Chart(
        "Nearest sample of each query",
        "; ".join(_summary(each) for each in series),
        box,
        "similarity of the nearest sample (cosine)",
        f"share of queries per bin; a full row is {percent(highest)}",
        x_axis(across, ticks(*bounds)),
        y_ticks,
        curves,
        marks(across, box, levels),
        labels,
        turned=False,
    )


def _summary(series: Series) -> str:
    gap = series.gap
    if not gap.answered:
        return f"{series.name}: no sample"
    low, median, high = (similarity(gap.quantiles[at]) for at in (0, 4, 8))
    return f"{series.name}: {count(gap.answered)} queries, from {low} to {high}, median {median}"


def curve(
    series: Sequence[Series], bounds: tuple[float, float], levels: Sequence[tuple[float, str]]
) -> Chart:
    """Share of queries that have a neighbour above a threshold, for every threshold."""
    box = Box(top=44)
    across, up = Scale(*bounds, box.left, box.right), Scale(0, 1, box.bottom, box.top)
    edges = SIMILARITIES.edges()
    inside = (edges >= bounds[0]) & (edges <= bounds[1])
    curves = [
        Curve(
            line([(across(e), up(s)) for e, s in zip(edges[inside], each.gap.curve()[inside], strict=True)]),
            each.style,
            _summary(each),
        )
        for each in series
    ]
    return Chart(
        "Queries with a neighbour above a threshold",
        "; ".join(_summary(each) for each in series),
        box,
        "threshold (cosine similarity)",
        "share of queries",
        x_axis(across, ticks(*bounds)),
        percent_axis(up),
        curves,
        marks(across, box, levels),
        legend=[(each.style, each.name) for each in series],
    )


def ranks(series: Sequence[Series]) -> Chart | None:
    """Median similarity of the nearest, second nearest, … sample; None if nobody lists more than one."""
    longest = max((len(each.medians) for each in series), default=0)
    if longest < 2:
        return None
    values = [value for each in series for value in each.medians]
    low, high = spread(values, values, [])
    box = Box()
    across, up = Scale(1, longest, box.left + 8, box.right - 8), Scale(low, high, box.bottom, box.top)
    curves, dots = [], []
    for each in series:
        points = [(across(rank), up(value)) for rank, value in enumerate(each.medians, 1)]
        path = "M" + "L".join(f"{px(x)} {px(y)}" for x, y in points) if len(points) > 1 else ""
        curves.append(Curve(path, each.style, each.name))
        for rank, ((x, y), value) in enumerate(zip(points, each.medians, strict=True), 1):
            dots.append(Dot(px(x), px(y), each.style, f"{each.name}, rank {rank}: {similarity(value)}"))
    whole = sorted({round(value) for value in ticks(1, longest, 8)} | {1})
    return Chart(
        "Beyond the nearest sample",
        "Median similarity by rank of neighbour",
        box,
        "rank of the neighbour (1 is the nearest)",
        "median similarity over queries",
        x_axis(across, whole),
        [Tick(px(up(value)), plain(value)) for value in ticks(low, high, 5)],
        curves,
        dots=dots,
        legend=[(each.style, each.name) for each in series if each.medians],
    )
