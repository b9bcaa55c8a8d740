"""The chart of drawn pairs: how alike a query and a pool sample are by chance, on a logarithmic scale."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from curation.audit import SIMILARITIES
from curation.chance_pairs import ChancePairs
from pipeline.report.drawing.axes import Box, Chart, Curve, Scale, decades_axis, steps, ticks, x_axis
from pipeline.report.drawing.charts import bars_between, marks, spread
from pipeline.report.drawing.text import count


def chance_chart(found: ChancePairs, levels: Sequence[tuple[float, str]]) -> Chart | None:
    """Draw the pairs by similarity with some named levels; None where no pair was drawn."""
    filled = np.flatnonzero(found.counts)
    if not len(filled):
        return None
    fine = SIMILARITIES.edges()
    named = [value for value, _ in levels]
    bounds = spread([float(fine[filled[0]])], [float(fine[filled[-1] + 1])], named)
    # Room above the plot for as many rows of names as may meet.
    box = Box(top=56)
    across = Scale(*bounds, box.left, box.right)
    places, bars = bars_between(found.counts, SIMILARITIES.reach, bounds)
    decades = max(1, math.ceil(math.log10(int(bars.max()) + 1)))
    up = Scale(-0.25, decades, box.bottom, box.top)
    tops = [up(math.log10(bar)) if bar else box.bottom for bar in bars.tolist()]
    path = steps([across(place) for place in places], tops, box.bottom)
    return Chart(
        "How alike pairs are by chance",
        f"{count(found.pairs)} drawn pairs of {count(found.queries)} queries and {count(found.samples)} pool samples",
        box,
        "similarity of a drawn pair (cosine)",
        "pairs per bin (logarithmic)",
        x_axis(across, ticks(*bounds)),
        decades_axis(up, decades),
        [Curve(path, "ref", f"{count(found.pairs)} drawn pairs", area=True)],
        marks(across, box, levels),
    )
