"""Groups of near-duplicates with their pictures, and how much of the pool stays at each ε."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from curation.rules.by_nearness.dedup import level_of
from pipeline.report.drawing.axes import Chart
from pipeline.report.drawing.plots import Axis, Trace, plot
from pipeline.report.drawing.text import count, percent
from pipeline.report.drawing.thumbnails import ROW_EDGE
from pipeline.report.request import MeasureFiles
from pipeline.report.sections._chains import Chains, follow, strips
from pipeline.report.sections._levels import AtLevels, above, at_levels, named_by_rules, told_from
from pipeline.report.sections._look import Look
from pipeline.report.sections._panel import Charts, Gallery, Panel, Paragraph, Piece, Sheet

TITLE, PLACE = "Near-duplicates", 60
NEEDS = ("duplicates.similarity", "duplicates.nearest")
EPSILONS = (0.02, 0.05, 0.124, 0.2)
"""Named beside those of the plan's rules; 0.124 is that of LAION-200M (arXiv 2310.09562)."""
USUAL = 0.124
SHOWN, PICTURES = 12, 4

ABOUT = (
    "A sample is a near-duplicate at ε where an earlier sample of its group has a similarity above 1 − ε; rule dedup "
    "then drops it. Groups follow each sample to the nearest earlier one, down to one that stays. Similarity is not "
    "identity: look at the pictures."
)


def say(look: Look) -> Panel:
    """Look at each measure `duplicates` of the plan."""
    numbers: dict[str, Any] = {}
    pieces: list[Piece] = []
    for measure in look.measures("duplicates", "similarity", "nearest"):
        lowest = told_from(measure)
        kept = at_levels(look, measure, "similarity", lowest)
        own = named_by_rules(look, "dedup", "epsilon", measure)
        known = [e for e in sorted({*EPSILONS, *own}) if level_of(e) >= lowest] or [level_of(lowest)]
        named = {e: above(look, measure, "similarity", level_of(e)) for e in known}
        epsilon = own[0] if own else USUAL if USUAL in known else known[-1]
        found = follow(look, measure.parts, level_of(epsilon), SHOWN, PICTURES)
        numbers[measure.name] = _numbers(kept, named, found, epsilon)
        pieces += _pieces(look, measure, kept, named, found, epsilon)
    return Panel(ABOUT, numbers, pieces)


def _numbers(kept: AtLevels, named: dict[float, int], found: Chains, epsilon: float) -> dict[str, Any]:
    return {
        "samples": kept.samples,
        "dropped_at_epsilon": {f"{e:g}": dropped for e, dropped in named.items()},
        "groups": {
            "epsilon": epsilon,
            "chains_followed": found.chained,
            "groups": found.groups,
            "samples": found.samples,
            "by_size": [[size, number] for size, number in found.sizes],
            "largest": [
                {"first": root, "size": size, "others": [uid for uid, _ in found.members.get(root, [])]}
                for root, size in found.largest
            ],
        },
    }


def _pieces(
    look: Look, measure: MeasureFiles, kept: AtLevels, named: dict[float, int], found: Chains, epsilon: float
) -> Iterator[Piece]:
    whole = max(kept.samples, 1)
    lines = [
        (f"{e:g}", f"{level_of(e):g}", count(n), count(kept.samples - n), percent((kept.samples - n) / whole))
        for e, n in named.items()
    ]
    heads = ("ε", "Similarity above", "Dropped", "Kept", "Share kept")
    yield Sheet(f"{measure.name}: {count(kept.samples)} samples", heads, lines)
    if told_from(measure):
        yield Paragraph(
            f"The measure tells samples apart above {told_from(measure):g} (at_least): what is less similar to an "
            "earlier one is kept at every ε that it knows."
        )
    yield Charts([_kept_chart(kept, epsilon), *([_size_chart(found, epsilon)] if found.sizes else [])])
    followed = "" if found.chained else " Of so many, samples with the same nearest earlier one are together."
    yield Paragraph(
        f"At ε = {epsilon:g}, {count(found.samples)} samples are in {count(found.groups)} groups of two or more."
        f"{followed}"
    )
    if found.largest:
        pictures = look.pictures(found.shown(), ROW_EDGE)
        yield Gallery(f"Largest groups at ε = {epsilon:g}", list(strips(found, pictures)))


def _kept_chart(kept: AtLevels, epsilon: float) -> Chart:
    whole = max(kept.samples, 1)
    points = [(1 - level, 100 * n / whole) for level, n in reversed(kept.curve) if level <= 1]
    ends = [(0.0, points[0][1])] if points else []
    across = Axis("ε: dropped above 1 − ε", bounds=(0.0, 1.0))
    up = Axis("% of samples kept", bounds=(0.0, 100.0))
    traces = [Trace("kept by dedup", "pool", [*ends, *points])]
    return plot("Kept against ε", across, up, traces, [(epsilon, f"ε = {epsilon:g}")])


def _size_chart(found: Chains, epsilon: float) -> Chart:
    names = [f"{count(number)} groups of {count(size)}" for size, number in found.sizes]
    points = [(float(size), float(number)) for size, number in found.sizes]
    across, up = Axis("samples in a group", True), Axis("groups (logarithmic)", True)
    return plot(f"Groups by size, ε = {epsilon:g}", across, up, [Trace("groups", "s1", points, names)])
