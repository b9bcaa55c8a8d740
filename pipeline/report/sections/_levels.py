"""How much of the pool stays at each level of a similarity: exact counts on a grid, and at levels that rules name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from curation.expressions import number, quoted
from pipeline.report.request import MeasureFiles
from pipeline.report.sections._look import Look

STEPS = 1024
"""Levels on a unit: a power of two, so that a similarity times it is exact."""


@dataclass(frozen=True, slots=True)
class AtLevels:
    """How many samples are at or below each level.

    Attributes:
        samples: Samples that have a value.
        curve: `(level, samples at or below it)`, ascending; the ends are the lowest and the highest bin with a sample.
    """

    samples: int
    curve: tuple[tuple[float, int], ...]


def at_levels(look: Look, measure: MeasureFiles, column: str, lowest: float) -> AtLevels:
    """Count samples by a column on the grid of `STEPS`; what is below `lowest` counts as `lowest`."""
    floor = int(lowest * STEPS)
    sql = (
        f"SELECT greatest(ceil({quoted(column)} * {STEPS:d}), {floor:d})::INTEGER AS bin, count(*) "  # noqa: S608
        f"FROM read_parquet($values) WHERE NOT isnan({quoted(column)}) GROUP BY bin ORDER BY bin"
    )
    running = 0
    curve: list[tuple[float, int]] = []
    for place, count in look.rows(sql, values=measure.parts):
        if (
            curve and place - 1 > curve[-1][0] * STEPS
        ):  # nothing lies between: the line stays level up to here
            curve.append(((place - 1) / STEPS, running))
        running += count
        curve.append((place / STEPS, running))
    return AtLevels(running, tuple(curve))


def told_from(*measures: MeasureFiles) -> float:
    """Return the similarity from which all of some measures `duplicates` tell samples apart."""
    return max(float(one.options.get("at_least") or 0.0) for one in measures)


def above(look: Look, measure: MeasureFiles, column: str, level: float) -> int:
    """Count the samples strictly above a level, as a rule does."""
    sql = f"SELECT count(*) FROM read_parquet($values) WHERE nullif({quoted(column)}, 'nan'::DOUBLE) > {number(level)}"  # noqa: S608
    return int(look.rows(sql, values=measure.parts)[0][0])


def named_by_rules(look: Look, rule: str, option: str, measure: MeasureFiles) -> list[float]:
    """List the values that the plan's splits give an option of a rule over this measure, ascending."""
    found = set()
    for facts in look.facts.values():
        for options in options_of(facts, rule):
            value = options.get(option)
            if options.get("by", measure.kind) == measure.name and isinstance(value, int | float):
                found.add(float(value))
    return sorted(found)


def options_of(facts: Mapping[str, Any], rule: str) -> list[Mapping[str, Any]]:
    """List the options of each rule of a name that cut a split."""
    steps = facts["waterfall"]["dropped"]
    if isinstance(steps, Mapping):
        return []
    return [step.get("options", {}) for step in steps if step.get("rule") == rule]
