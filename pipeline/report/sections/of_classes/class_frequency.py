"""How often each class occurs, before and after each split, and how unequal that is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from curation.kernels.class_counts import expected_distinct, gini
from pipeline.report.drawing.axes import Chart
from pipeline.report.drawing.plots import STYLES, Axis, Trace, plot
from pipeline.report.drawing.text import count, number
from pipeline.report.sections._classed import (
    ANY,
    KIND,
    ClassColumn,
    ClassTotals,
    class_columns,
    named_classes,
    totals,
)
from pipeline.report.sections._look import Look
from pipeline.report.sections._panel import Charts, Panel, Piece, Sheet, rounded

TITLE, PLACE = "Class frequency", 10
NEEDS = (ANY,)
OF_SETS = (KIND,)
BATCHES = (256, 1024, 4096, 32768)
"""Sizes of batches whose classes are counted; 1,024 is that of arXiv 2405.21070."""
SHOWN = 20
"""Classes that are listed by name: so many of the most frequent."""
LISTED = 2000
"""Classes whose counts stand one by one in `audit.json`; of a longer list none do."""

ABOUT = (
    "How many samples are of each class of the list, by caption, image or both, in the pool and in each split; a "
    "sample of several counts for each, and one of a further set where the measure is of that set too. Gini is 0 "
    "where all classes are equally frequent and near 1 where few have all (arXiv 2405.21070). A batch is drawn from "
    "the samples that are of a class."
)


def say(look: Look) -> Panel:
    """Count for each column of classes of the plan."""
    numbers: dict[str, Any] = {}
    pieces: list[Piece] = []
    for of in class_columns(look):
        found = {"pool": totals(look, of)}
        found |= {f"split {split.name}": totals(look, of, split) for split in look.splits}
        numbers[of.name] = {
            "classes": len(named_classes(of.files)),
            "sets": {name: _numbers(each) for name, each in found.items()},
        }
        pieces += _pieces(of, found)
    return Panel(ABOUT, numbers, pieces)


def _numbers(found: ClassTotals) -> dict[str, Any]:
    counts = found.counts
    return {
        "samples": found.samples,
        "untold": found.untold,
        "matches": int(counts.sum()),
        "gini": rounded(gini(counts)),
        "zero": int((counts == 0).sum()),
        "min": int(counts.min()),
        # An observed count: the lower of two in the middle.
        "median": int(np.sort(counts)[(len(counts) - 1) // 2]),
        "max": int(counts.max()),
        "distinct_in_batch": {
            str(size): rounded(expected_distinct(counts, found.samples, size)) for size in BATCHES
        },
        "counts": counts.tolist() if len(counts) <= LISTED else None,
    }


def _pieces(of: ClassColumn, found: dict[str, ClassTotals]) -> Iterator[Piece]:
    more = ("Of no class here",) if any(each.untold for each in found.values()) else ()
    heads = ("Set", "Samples", *more, "Gini", "Without a sample", "Lowest", "Median", "Highest")
    sizes = tuple(f"Classes in a batch of {count(size)}" for size in BATCHES)
    lines = [_line(name, _numbers(each), bool(more)) for name, each in found.items()]
    size = len(named_classes(of.files))
    yield Sheet(f"{of.name}: {count(size)} classes", (*heads, *sizes), lines)
    yield Charts(list(_charts(found)))
    yield _most_frequent(of, found)


def _line(name: str, of: dict[str, Any], untold: bool) -> tuple[str, ...]:
    whole = (count(of["zero"]), count(of["min"]), count(of["median"]), count(of["max"]))
    drawn = (_tenth(of["distinct_in_batch"][str(size)]) for size in BATCHES)
    said = "–" if of["gini"] is None else f"{of['gini']:.3f}"
    more = (count(of["untold"]),) if untold else ()
    return (name, count(of["samples"]), *more, said, *whole, *drawn)


def _tenth(value: float | None) -> str:
    return number(None if value is None else round(value, 1))


def _charts(found: dict[str, ClassTotals]) -> Iterator[Chart]:
    """Draw counts by rank, the pool beside up to six splits in a chart."""
    splits = [name for name in found if name != "pool"]
    for start in range(0, max(len(splits), 1), len(STYLES)):
        some = ["pool", *splits[start : start + len(STYLES)]]
        styles = dict(zip(some, ("pool", *STYLES), strict=False))
        traces = [Trace(name, styles[name], _ranked(found[name])) for name in some]
        across, up = (
            Axis("rank of the class, the most frequent first", whole=True),
            Axis("samples (logarithmic)", True),
        )
        yield plot("Samples of a class, by rank", across, up, traces)


def _ranked(found: ClassTotals) -> list[tuple[float, float]]:
    return [(rank, float(value)) for rank, value in enumerate(np.sort(found.counts)[::-1].tolist(), 1)]


def _most_frequent(of: ClassColumn, found: dict[str, ClassTotals]) -> Sheet:
    classes, pool = named_classes(of.files), found["pool"].counts
    order = np.argsort(-pool, kind="stable")[:SHOWN].tolist()
    rows = [
        (classes.names[at][0], classes.ids[at], *(count(int(each.counts[at])) for each in found.values()))
        for at in order
    ]
    return Sheet("Most frequent classes", ("Class", "Id", *found), rows, texts=(1,), more=8)
