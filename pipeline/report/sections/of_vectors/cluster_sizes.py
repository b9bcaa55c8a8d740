"""Clusters by size, with the samples nearest to the centroids of the largest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from curation.kernels.class_counts import gini
from pipeline.report.drawing.plots import Axis, Trace, plot
from pipeline.report.drawing.text import count, similarity
from pipeline.report.drawing.thumbnails import ROW_EDGE, Thumbnail
from pipeline.report.request import MeasureFiles
from pipeline.report.sections._look import Look, Row
from pipeline.report.sections._panel import Charts, Gallery, Panel, Piece, Sheet, Strip, rounded

TITLE, PLACE = "Clusters", 70
NEEDS = ("clusters.cluster", "clusters.similarity")
SHOWN, PICTURES = 12, 4

ABOUT = (
    "How many samples of the pool take each centroid of the k-means. Of the largest clusters, the samples nearest to "
    "the centroid are shown, with their similarity to it."
)
_SIZES = """
SELECT cluster, count(*) AS size FROM read_parquet($values) WHERE cluster IS NOT NULL GROUP BY cluster
ORDER BY size DESC, cluster
"""
_NEAREST = """
SELECT cluster, uid, similarity FROM read_parquet($values) WHERE cluster IN ({largest})
QUALIFY row_number() OVER (PARTITION BY cluster ORDER BY similarity DESC, uid) <= {pictures}
ORDER BY cluster, similarity DESC, uid
"""


def say(look: Look) -> Panel:
    """Look at each measure `clusters` of the plan."""
    numbers: dict[str, Any] = {}
    pieces: list[Piece] = []
    for measure in look.measures("clusters", "cluster", "similarity"):
        found = look.rows(_SIZES, values=measure.parts)
        k = max(int(measure.options.get("k", 0)), len(found))
        sizes = np.array([size for _, size in found] + [0] * (k - len(found)), np.int64)
        numbers[measure.name] = {
            "clusters": k,
            "empty": k - len(found),
            "samples": int(sizes.sum()),
            "gini": rounded(gini(sizes)) if k else None,
            "largest": [[cluster, size] for cluster, size in found[:SHOWN]],
            "median": int(np.sort(sizes)[(k - 1) // 2]) if k else None,
        }
        pieces += _pieces(look, measure, numbers[measure.name], sizes, found)
    return Panel(ABOUT, numbers, pieces)


def _pieces(
    look: Look, measure: MeasureFiles, of: dict[str, Any], sizes: np.ndarray[Any, Any], found: list[Row]
) -> Iterator[Piece]:
    heads = ("Measure", "Clusters", "Empty", "Samples", "Median size", "Largest", "Gini")
    largest = count(found[0][1]) if found else "–"
    unequal = "–" if of["gini"] is None else f"{of['gini']:.3f}"
    counts = (count(of["clusters"]), count(of["empty"]), count(of["samples"]), count(of["median"] or 0))
    yield Sheet(f"{measure.name}", heads, [(measure.name, *counts, largest, unequal)])
    points = [(float(rank), float(size)) for rank, size in enumerate(sizes.tolist(), 1)]
    across, up = (
        Axis("rank of the cluster, the largest first", whole=True),
        Axis("samples (logarithmic)", True),
    )
    yield Charts([plot("Clusters by size", across, up, [Trace(measure.name, "pool", points)])])
    if found:
        yield Gallery(f"Largest clusters of {measure.name}", list(_strips(look, measure, found[:SHOWN])))


def _strips(look: Look, measure: MeasureFiles, largest: list[Row]) -> Iterator[Strip]:
    numbers = ", ".join(f"{cluster:d}" for cluster, _ in largest)
    nearest = look.rows(_NEAREST.format(largest=numbers, pictures=PICTURES), values=measure.parts)
    pictures = look.pictures([uid for _, uid, _ in nearest], ROW_EDGE)
    none = Thumbnail(reason="no image")
    for cluster, size in largest:
        shown = [(pictures.get(uid, none), similarity(value)) for of, uid, value in nearest if of == cluster]
        yield Strip(f"{count(size)} samples", f"cluster {cluster}", shown)
