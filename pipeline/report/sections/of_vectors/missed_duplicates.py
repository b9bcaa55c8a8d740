"""Near-duplicates that one grouping finds and another misses, such as those across the border of two clusters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from curation.expressions import number
from curation.rules.by_nearness.dedup import level_of
from pipeline.report.drawing.text import count, percent
from pipeline.report.request import MeasureFiles
from pipeline.report.sections._levels import named_by_rules, told_from
from pipeline.report.sections._look import Look
from pipeline.report.sections._panel import LeftOut, Panel, Sheet

TITLE, PLACE = "Near-duplicates that a grouping misses", 61
NEEDS = ("duplicates.similarity",)
EPSILONS = (0.05, 0.124)
"""Named beside those of the plan's rules."""

ABOUT = (
    "Only samples of one group are compared. Here the measures of near-duplicates that share an order are held against "
    "one another: of the samples that any of them finds above 1 − ε, how many each one finds and misses. What no "
    "grouping brings together is missed by all; within: pool compares every pair, and misses nothing."
)
_ORDERING = ("rule", "keep", "order")
_TOLD = (
    "SELECT found, count(*) FROM (SELECT uid, bit_or(own) AS found FROM ({each}) GROUP BY uid) GROUP BY found "
    "ORDER BY found"
)


def say(look: Look) -> Panel | LeftOut:
    """Compare the measures `duplicates` of a plan that look back in the same order, but in other groups."""
    numbers: dict[str, Any] = {}
    sheets = []
    for measures in _alike(look.measures("duplicates", "similarity")):
        own = {epsilon for one in measures for epsilon in named_by_rules(look, "dedup", "epsilon", one)}
        lowest = told_from(*measures)
        known = [e for e in sorted({*EPSILONS, *own}) if level_of(e) >= lowest] or [level_of(lowest)]
        for epsilon in known:
            found = _found(look, measures, level_of(epsilon))
            together = sum(found.values())
            alone = {one.name: _with(found, at) for at, one in enumerate(measures)}
            told = {name: {"found": n, "missed": together - n} for name, n in alone.items()}
            numbers.setdefault(" + ".join(one.name for one in measures), {})[f"{epsilon:g}"] = {
                "found_by_any": together,
                "by_measure": told,
            }
            sheets.append(_sheet(measures, epsilon, together, alone))
    if not sheets:
        return LeftOut("one grouping alone says nothing of what it misses: add a second measure duplicates")
    return Panel(ABOUT, numbers, sheets)


def _alike(measures: Sequence[MeasureFiles]) -> list[list[MeasureFiles]]:
    """Put measures of one order together; those that stand alone are left out."""
    by_order: dict[tuple[Any, ...], list[MeasureFiles]] = {}
    for one in measures:
        by_order.setdefault(tuple(one.options.get(name) for name in _ORDERING), []).append(one)
    return [some for some in by_order.values() if len(some) > 1]


def _found(look: Look, measures: Sequence[MeasureFiles], level: float) -> dict[int, int]:
    """Count samples above a level by who finds them, one bit for each measure."""
    above = f"nullif(similarity, 'nan'::DOUBLE) > {number(level)}"
    each = " UNION ALL ".join(
        f"SELECT uid, {1 << at:d} AS own FROM read_parquet($values{at:d}) WHERE {above}"  # noqa: S608
        for at, _ in enumerate(measures)
    )
    tables = {f"values{at:d}": one.parts for at, one in enumerate(measures)}
    return {int(bits): int(n) for bits, n in look.rows(_TOLD.format(each=each), **tables)}


def _with(found: Mapping[int, int], at: int) -> int:
    return sum(n for bits, n in found.items() if bits >> at & 1)


def _sheet(
    measures: Sequence[MeasureFiles], epsilon: float, together: int, alone: Mapping[str, int]
) -> Sheet:
    rows = [
        (
            one.name,
            str(one.options.get("within")),
            count(alone[one.name]),
            count(together - alone[one.name]),
            percent((together - alone[one.name]) / max(together, 1)),
        )
        for one in measures
    ]
    caption = f"At ε = {epsilon:g}, {count(together)} samples have an earlier near-duplicate by any of them"
    return Sheet(caption, ("Measure", "Within", "Found", "Missed", "Share missed"), rows, texts=(1,))
