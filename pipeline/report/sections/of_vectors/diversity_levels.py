"""How much of the pool stays at each level of the measure `thinning`."""

from __future__ import annotations

from typing import Any

from pipeline.report.drawing.axes import Chart
from pipeline.report.drawing.plots import STYLES, Axis, Trace, plot
from pipeline.report.drawing.text import count, percent
from pipeline.report.request import MeasureFiles
from pipeline.report.sections._levels import AtLevels, above, at_levels, named_by_rules
from pipeline.report.sections._look import Look
from pipeline.report.sections._panel import Charts, Panel, Sheet

TITLE, PLACE = "Diversity", 65
NEEDS = ("thinning.level", "thinning.place")
LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9)
"""Named beside those of the plan's rules."""

ABOUT = (
    "Rule diversity with a level keeps samples of which no two of a group are more similar than that, and none that "
    "went could have stayed; one pass of the measure thinning serves every level. A group's first sample always stays."
)
_FIRSTS = "SELECT count(*) FROM read_parquet($values) WHERE place = 0"


def say(look: Look) -> Panel:
    """Look at each measure `thinning` of the plan."""
    found: dict[str, tuple[AtLevels, dict[float, int]]] = {}
    numbers: dict[str, Any] = {}
    sheets = []
    for measure in look.measures("thinning", "level", "place"):
        kept = at_levels(look, measure, "level", -1.0)
        own = named_by_rules(look, "diversity", "level", measure)
        named = {
            level: kept.samples - above(look, measure, "level", level) for level in sorted({*LEVELS, *own})
        }
        groups = int(look.rows(_FIRSTS, values=measure.parts)[0][0])
        found[measure.name] = (kept, named)
        by_level = {f"{level:g}": stay for level, stay in named.items()}
        numbers[measure.name] = {"samples": kept.samples, "groups": groups, "kept_at_level": by_level}
        sheets.append(_sheet(measure, kept, named, groups))
    chart = _chart({name: kept for name, (kept, _) in found.items()})
    return Panel(ABOUT, numbers, [*sheets, Charts([chart])])


def _sheet(measure: MeasureFiles, kept: AtLevels, named: dict[float, int], groups: int) -> Sheet:
    lines = [
        (f"{level:g}", count(stay), percent(stay / max(kept.samples, 1))) for level, stay in named.items()
    ]
    caption = f"{measure.name}: {count(kept.samples)} samples in {count(groups)} groups"
    return Sheet(caption, ("Level", "Kept", "Share kept"), lines)


def _chart(found: dict[str, AtLevels]) -> Chart:
    styles = ("pool", *STYLES)
    traces = [
        Trace(name, styles[at % len(styles)], _shares(kept)) for at, (name, kept) in enumerate(found.items())
    ]
    across = Axis("level: highest similarity allowed in a group", bounds=(0.0, 1.0))
    up = Axis("% of samples kept", bounds=(0.0, 100.0))
    return plot("Kept against the level of diversity", across, up, traces)


def _shares(kept: AtLevels) -> list[tuple[float, float]]:
    """List `(level, % kept)`; beyond the highest level that a sample has, all stay."""
    shares = [(level, 100 * n / max(kept.samples, 1)) for level, n in kept.curve]
    return [*shares, (1.0, 100.0)] if shares and shares[-1][0] < 1 else shares
