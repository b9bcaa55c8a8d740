"""Charts of the pool as a whole: what a threshold keeps, and how many samples lie next to it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curation.audit import MARGINS, SIMILARITIES, IntArray, kept_at_edges
from pipeline.report.drawing.axes import (
    Box,
    Chart,
    Curve,
    Scale,
    decades_axis,
    line,
    percent_axis,
    steps,
    ticks,
    x_axis,
)
from pipeline.report.drawing.charts import bars_between, marks, spread
from pipeline.report.drawing.text import count

# By whether the report shows splits, then by whether thresholds are moved.
_TITLES = (
    ("At or below one threshold", "At or below each query's own threshold, moved"),
    ("Kept if pruned at one threshold", "Kept if every query's own threshold is moved"),
)


@dataclass(frozen=True, slots=True)
class Counted:
    """A pool's samples by similarity (or margin) to one benchmark."""

    name: str
    style: str
    counts: IntArray
    samples: int


def kept(counted: Sequence[Counted], margins: bool, levels: Sequence[tuple[float, str]], cuts: bool) -> Chart:
    """Share of the pool at or below each threshold, or each offset from the thresholds: what near-pruning would keep.

    A report that shows no split (`cuts` is false) says nothing of pruning.
    """
    grid = MARGINS if margins else SIMILARITIES
    edges = grid.edges()
    filled = [np.flatnonzero(each.counts) for each in counted]
    lows = [float(edges[at[0]]) for at in filled if len(at)]
    highs = [float(edges[at[-1] + 1]) for at in filled if len(at)]
    bounds = spread(lows, highs, [value for value, _ in levels])
    box = Box(top=44)
    across, up = Scale(*bounds, box.left, box.right), Scale(0, 1, box.bottom, box.top)
    inside = (edges >= bounds[0]) & (edges <= bounds[1])
    curves = []
    for each in counted:
        shares = kept_at_edges(each.counts)[inside] / max(each.samples, 1)
        points = [(across(e), up(s)) for e, s in zip(edges[inside], shares, strict=True)]
        curves.append(Curve(line(points), each.style, f"{each.name}: {count(each.samples)} samples"))
    return Chart(
        _TITLES[cuts][margins],
        "Share of the pool that near-pruning would keep"
        if cuts
        else "Share of the pool at or below each threshold",
        box,
        "offset added to each query's threshold" if margins else "threshold (cosine similarity)",
        "share of the pool kept" if cuts else "share of the pool at or below",
        x_axis(across, ticks(*bounds)),
        percent_axis(up),
        curves,
        marks(across, box, levels),
        legend=[(each.style, each.name) for each in counted],
    )


def density(counted: Counted, cuts: bool) -> Chart | None:
    """Pool samples by margin, on a logarithmic scale: how many lie just below and just above the threshold."""
    filled = np.flatnonzero(counted.counts)
    if not len(filled):
        return None
    fine = MARGINS.edges()
    bounds = spread([float(fine[filled[0]])], [float(fine[filled[-1] + 1])], [0.0])
    box = Box()
    across = Scale(*bounds, box.left, box.right)
    places, bars = bars_between(counted.counts, MARGINS.reach, bounds)
    decades = max(1, math.ceil(math.log10(int(bars.max()) + 1)))
    up = Scale(-0.25, decades, box.bottom, box.top)
    tops = [up(math.log10(bar)) if bar else box.bottom for bar in bars.tolist()]
    at = int(np.searchsorted(places, 0.0))  # bins are aligned on 0, so none has samples of both kinds
    edges = [across(place) for place in places]
    kept_path = steps(edges[: at + 1], tops[:at], box.bottom)
    dropped_path = steps(edges[at:], tops[at:], box.bottom)
    return Chart(
        "Pool samples around the threshold",
        f"{count(counted.samples)} samples by margin; "
        + (
            "near-pruning drops those above 0"
            if cuts
            else "those above 0 are nearer than the reference comes"
        ),
        box,
        "margin: similarity minus the query's threshold",
        "samples per bin (logarithmic)",
        x_axis(across, ticks(*bounds)),
        decades_axis(up, decades),
        [
            Curve(kept_path, "pool", f"{count(int(bars[:at].sum()))} samples at or below 0", area=True),
            Curve(dropped_path, "s1", f"{count(int(bars[at:].sum()))} samples above 0", area=True),
        ],
        marks(across, box, [(0.0, "0")]),
        legend=[("pool", "at or below 0"), ("s1", "above 0")],
    )
