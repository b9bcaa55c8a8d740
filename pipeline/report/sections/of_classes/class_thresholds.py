"""Size and classes covered against the level of a caption's similarity to its class, and image levels of equal size."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from curation.expressions import number, quoted
from pipeline.report.drawing.axes import Chart
from pipeline.report.drawing.plots import Axis, Trace, plot
from pipeline.report.drawing.text import count, similarity
from pipeline.report.request import MeasureFiles
from pipeline.report.sections._classed import named_classes
from pipeline.report.sections._levels import options_of
from pipeline.report.sections._look import FIRST_ROW, Look
from pipeline.report.sections._panel import Charts, LeftOut, Panel, Piece, Sheet, rounded

TITLE, PLACE = "Class similarity levels", 20
NEEDS = ("classes.single",)
GRID = tuple(step / 100 for step in range(101))
NAMED = (0.58, 0.7, 0.75, 0.8, 0.82, 0.85, 0.88, 0.9)
"""LAIONet's own level is 0.82, that of its top 50 a class 0.58; the others are its variants' (arXiv 2405.21070)."""
RULES = ("class-match", "class-subset")

ABOUT = (
    "How many samples that name exactly one class reach each similarity of caption and class, and how many classes "
    "have such a sample (LAIONet, arXiv 2306.15769). Beside each level stands the level of the image's similarity that "
    "as many samples reach. A level says nothing of another encoder."
)
_BASE = """
SELECT c.single AS class, {column}::DOUBLE AS value
FROM (SELECT uid, single FROM read_parquet($classes) WHERE single IS NOT NULL) c
JOIN read_parquet($values) v USING (uid)
WHERE NOT isnan({column}::DOUBLE) {first}
"""
_RANKED = """
SELECT value, place FROM (SELECT value, row_number() OVER (ORDER BY value DESC) AS place FROM ({base}))
WHERE list_contains($places, place) ORDER BY place
"""


_Level: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Score:
    """A column of similarities: what it is called, its files, its name in them, and whether they are the pool's."""

    name: str
    files: tuple[str, ...]
    column: str
    pool: bool = False

    def base(self) -> str:
        """Return the SQL of class and value; of a uid that the pool repeats, the first row takes part."""
        first = FIRST_ROW if self.pool else ""
        return _BASE.format(column=f"v.{quoted(self.column)}", first=first)


@dataclass(frozen=True, slots=True)
class _Reached:
    """At each level, the samples that reach it and the classes that have one."""

    samples: dict[float, int]
    classes: dict[float, int]


def say(look: Look) -> Panel | LeftOut:
    """Look at each column of text similarities, beside the first of image similarities."""
    measure = look.measures("classes", "single")[0]
    texts, images = scores(look, "text"), scores(look, "image")
    if not texts:
        return LeftOut(
            "the run has no similarity of captions to their class: no measure class_similarity of text, and no rule "
            f"{' or '.join(RULES)} that names a column of it"
        )
    numbers: dict[str, Any] = {}
    pieces: list[Piece] = []
    for score in texts:
        levels = sorted({*GRID, *NAMED, *_levels_of_rules(look, score.name)})
        text = _reached(look, measure, score, levels)
        pairs = _pairs(look, measure, images[0], text) if images else {}
        image = _reached(look, measure, images[0], sorted(set(pairs.values()))) if pairs else None
        named = [level for level in levels if level in NAMED or level in _levels_of_rules(look, score.name)]
        rows = [_row(level, text, pairs, image) for level in levels]
        numbers[score.name] = {"image": images[0].name if images else None, "levels": rows}
        shown = [row for row, level in zip(rows, levels, strict=True) if level in named]
        pieces += _pieces(measure, score, images, rows, shown)
    return Panel(ABOUT, numbers, pieces)


def scores(look: Look, of: str) -> list[Score]:
    """List the columns of similarities to a class, of `text` or `image`: of measures, then those that rules name."""
    found = {
        f"{one.name}.similarity": Score(f"{one.name}.similarity", one.parts, "similarity")
        for one in look.measures("class_similarity", "similarity")
        if one.options.get("of", "text") == of
    }
    for facts in look.facts.values():
        for rule in RULES:
            for options in options_of(facts, rule):
                score = _located(look, options.get(of))
                if score is not None:
                    found.setdefault(score.name, score)
    return list(found.values())


def _located(look: Look, written: Any) -> Score | None:
    """Find the column that a rule names as it is; an expression over columns is left alone."""
    plain = re.fullmatch(r'"?(\w+)"?(?:\."?(\w+)"?)?', written) if isinstance(written, str) else None
    if plain is None:
        return None
    first, second = plain.groups()
    for one in look.request.measures:
        columns = [name for name, _ in one.columns]
        column = second or (first if first in columns else None)
        if one.name == first and one.parts and column in columns:
            return Score(f"{first}.{column}", one.parts, str(column))
    return (
        None
        if second or not look.request.pool.samples
        else Score(first, look.request.pool.samples, first, pool=True)
    )


def _levels_of_rules(look: Look, name: str) -> list[float]:
    found = []
    for facts in look.facts.values():
        for rule, option in (("class-match", "above"), ("class-subset", "text_level")):
            for options in options_of(facts, rule):
                score = _located(look, options.get("text"))
                if score is not None and score.name == name and isinstance(options.get(option), int | float):
                    found.append(float(options[option]))
    return found


def _reached(look: Look, measure: MeasureFiles, score: Score, levels: Sequence[float]) -> _Reached:
    """Count exactly, at each level, strictly nothing below it."""
    base = score.base()
    tables = {"classes": measure.parts, "values": score.files}
    tests = ", ".join(f"count(*) FILTER (value >= {number(level)})" for level in levels)
    samples = look.rows(f"SELECT {tests} FROM ({base})", **tables)[0]  # noqa: S608
    best = f"SELECT max(value) AS value FROM ({base}) GROUP BY class"  # noqa: S608
    classes = look.rows(f"SELECT {tests} FROM ({best})", **tables)[0]  # noqa: S608
    return _Reached(dict(zip(levels, samples, strict=True)), dict(zip(levels, classes, strict=True)))


def _pairs(look: Look, measure: MeasureFiles, image: Score, text: _Reached) -> dict[float, float]:
    """Give, by text level, the image similarity of the n-th nearest sample, n samples reaching the text level."""
    sql = _RANKED.format(base=image.base())
    arguments: dict[str, Any] = look.located(classes=measure.parts, values=image.files)
    arguments["places"] = sorted({n for n in text.samples.values() if n})
    level_of = {place: value for value, place in look.db.execute(sql, arguments).fetchall()}
    return {level: level_of[n] for level, n in text.samples.items() if n in level_of}


def _row(level: float, text: _Reached, pairs: dict[float, float], image: _Reached | None) -> _Level:
    row: _Level = {"level": level, "samples": text.samples[level], "classes": text.classes[level]}
    if image is None or level not in pairs:
        return row | {"image_level": None, "image_samples": None, "image_classes": None}
    of = pairs[level]
    return row | {
        "image_level": rounded(of),
        "image_samples": image.samples[of],
        "image_classes": image.classes[of],
    }


def _pieces(
    measure: MeasureFiles,
    score: Score,
    images: Sequence[Score],
    rows: list[dict[str, Any]],
    shown: list[dict[str, Any]],
) -> Iterator[Piece]:
    heads = ("Level of the text", "Samples", "Classes", "Level of the image", "Samples", "Classes")
    lines = [
        (
            *(
                f"{row['level']:g}",
                count(row["samples"]),
                count(row["classes"]),
                similarity(row["image_level"]),
            ),
            *("–" if row[key] is None else count(row[key]) for key in ("image_samples", "image_classes")),
        )
        for row in shown
    ]
    beside = f", with {images[0].name}" if images else ""
    yield Sheet(f"{score.name}{beside}", heads, lines)
    yield Charts(list(_charts(measure, score, images, rows)))


def _charts(
    measure: MeasureFiles, score: Score, images: Sequence[Score], rows: list[_Level]
) -> Iterator[Chart]:
    size, whole = max(len(named_classes(measure)), 1), max(rows[0]["samples"], 1)
    across = Axis(f"{score.name}, at least")
    reach = [(row["level"], 100 * row["samples"] / whole) for row in rows]
    have = [(row["level"], 100 * row["classes"] / size) for row in rows]
    traces = [
        Trace(f"samples, of {count(whole)}", "pool", reach),
        Trace(f"classes, of {count(size)}", "s1", have),
    ]
    yield plot("Samples and classes that reach a level", across, Axis("%", bounds=(0.0, 100.0)), traces)
    pairs = [(r["level"], r["image_level"]) for r in rows if r["image_level"] is not None]
    if images and len(pairs) > 1:
        up = Axis(f"{images[0].name} of as many samples")
        yield plot("Levels of equal size", across, up, [Trace("text and image", "s2", pairs)])
