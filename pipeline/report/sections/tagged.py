"""What became of the rows of a tagger's table, and which tags are frequent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.report.drawing.text import brief, count, percent
from pipeline.report.request import MeasureFiles
from pipeline.report.sections._look import Look
from pipeline.report.sections._panel import Panel, Piece, Sheet, rounded

TITLE, PLACE = "Tags", 5
NEEDS = ("tags.tags",)
SHOWN = 20
"""Tags that are listed: so many of the most frequent."""

OUTCOMES: Mapping[str, str] = {
    "taken": "taken",
    "not_above": "not above the level",
    "doubled": "says a pair again; the highest probability counts",
    "unknown": "names no sample of the pool",
    "ambiguous": "its key is that of several samples",
    "improbable": "its probability is no number from 0 to 1",
    "incomplete": "without a name or a tag",
}
ABOUT = (
    "What became of each row of a table of tags, and how many samples have which tag. A sample of which no usable row "
    "tells is not known to have any."
)
_SAMPLES = """
SELECT count(*), count(tags), count(*) FILTER (len(tags) > 0), coalesce(sum(len(tags)), 0)::BIGINT
FROM read_parquet($tags)
"""
_FREQUENT = """
SELECT tag, count(*) AS samples FROM (SELECT unnest(tags) AS tag FROM read_parquet($tags))
GROUP BY tag ORDER BY samples DESC, tag LIMIT {shown:d}
"""


def say(look: Look) -> Panel:
    """Look at each measure `tags`."""
    numbers: dict[str, Any] = {}
    pieces: list[Piece] = []
    for measure in look.measures("tags", "tags"):
        samples, known, tagged, taken = look.rows(_SAMPLES, tags=measure.parts)[0]
        rows = _rows(measure, taken)
        frequent = look.rows(_FREQUENT.format(shown=SHOWN), tags=measure.parts)
        numbers[measure.name] = {
            "samples": samples,
            "told_of": known,
            "tagged": tagged,
            "rows": rows,
            "frequent": [[tag, number] for tag, number in frequent],
        }
        pieces += _pieces(measure, numbers[measure.name])
    return Panel(ABOUT, numbers, pieces)


def _rows(measure: MeasureFiles, taken: int) -> dict[str, int]:
    """Count the table's rows by outcome; empty where that is not on record."""
    if not measure.told:
        return {}
    told = dict(measure.told)
    return {"rows": told["rows"], "taken": taken, "not_above": told["pairs"] - taken} | {
        outcome: told[outcome] for outcome in OUTCOMES if outcome in told
    }


def _pieces(measure: MeasureFiles, of: Mapping[str, Any]) -> list[Piece]:
    rows = of["rows"]
    whole = max(rows.get("rows", 0), 1)
    lines = [
        (words, count(rows[what]), percent(rounded(rows[what] / whole) or 0.0))
        for what, words in OUTCOMES.items()
        if what in rows
    ]
    samples = max(of["samples"], 1)
    said = [
        ("told of", count(of["told_of"]), percent(of["told_of"] / samples)),
        ("with a tag above the level", count(of["tagged"]), percent(of["tagged"] / samples)),
    ]
    frequent = [(brief(tag), count(number), percent(number / samples)) for tag, number in of["frequent"]]
    table = [Sheet(f"{measure.name}: rows of the table", ("Row", "Rows", "Share"), lines)] if lines else []
    return [
        *table,
        Sheet(f"{measure.name}: samples", ("Sample", "Samples", "Share"), said),
        Sheet("Most frequent tags", ("Tag", "Samples", "Share"), frequent, more=8),
    ]
