"""How much captions say, before and after each split, and how differently those of a class say it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.report.drawing.axes import Chart
from pipeline.report.drawing.plots import STYLES, Axis, Trace, plot
from pipeline.report.drawing.text import count, number, percent, similarity
from pipeline.report.request import MeasureFiles, SplitFiles
from pipeline.report.sections._attributes import AttributeCounts, attribute_counts
from pipeline.report.sections._dispersion import KIND, class_means, over_classes
from pipeline.report.sections._look import Look
from pipeline.report.sections._panel import Charts, Panel, Paragraph, Piece, Sheet, rounded

TITLE, PLACE = "Caption richness", 40
NEEDS = ("captions.words", "captions.content_words")
OF_SETS = ("captions",)
LONGEST = 40
"""Content words beyond this many are drawn as this many."""

ABOUT = (
    "Rich captions let a model share features between classes (arXiv 2310.04971). Words are divided by white space; "
    "content words are distinct and no English words of grammar; attributes say how something looks, by lists of "
    "words; a caption is label-only where it names a class and says no more, and its class is named where it has a "
    "name of the sample's own class."
)
_COUNTED = """
SELECT content_words, sum(times)::BIGINT, sum(words * times)::BIGINT, sum(times) FILTER (label)::BIGINT,
sum(attributes * times)::BIGINT, sum(times) FILTER (named)::BIGINT, sum(times) FILTER (named IS NOT NULL)::BIGINT
FROM ({rows}) WHERE content_words IS NOT NULL GROUP BY content_words ORDER BY content_words
"""
_POOL = "SELECT words, content_words, {columns}, 1 AS times FROM read_parquet($captions)"
_COLUMNS = {
    "label_only": ("label_only AS label", "NULL::BOOLEAN AS label"),
    "attributes": ("len(attributes) AS attributes", "NULL::BIGINT AS attributes"),
    "class_named": ("class_named AS named", "NULL::BOOLEAN AS named"),
}
"""Columns that a measure `captions` may have, as the queries call what they need of them: where it has it, or not."""


@dataclass(slots=True)
class _Said:
    """Captions of a set: by content words how many there are; all their words; what further columns come to.

    `more` counts, by column that there is, the captions or attributes, and the captions of which it is known.
    """

    content: Counter[int] = field(default_factory=Counter)
    words: int = 0
    more: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def captions(self) -> int:
        return self.content.total()

    def add(self, column: str, found: int | None, known: int | None) -> None:
        """Count further ones."""
        before = self.more.get(column)
        if before is not None:
            self.more[column] = (before[0] + (found or 0), before[1] + (known or 0))

    def numbers(self) -> dict[str, Any]:
        """Sum up."""
        whole, content = self.captions, sum(words * n for words, n in self.content.items())
        labels, named = self.more.get("label_only"), self.more.get("class_named")
        return {
            "captions": whole,
            "mean_words": _share(self.words, whole),
            "mean_content_words": _share(content, whole),
            "median_content_words": _median(self.content),
            "mean_attributes": _share(*self.more.get("attributes", (0, 0))),
            "label_only": labels and labels[0],
            "share_label_only": labels and _share(*labels),
            "class_named": named and named[0],
            "share_class_named": named and _share(*named),
        }


def _share(part: int, whole: int) -> float | None:
    return rounded(part / whole) if whole else None


def _median(content: Mapping[int, int]) -> int | None:
    """Take the lower of two in the middle."""
    left = (sum(content.values()) + 1) // 2
    for words in sorted(content):
        left -= content[words]
        if left <= 0:
            return words
    return None


def say(look: Look) -> Panel:
    """Look at each measure `captions`, and at what classes have in common."""
    numbers: dict[str, Any] = {"captions": {}, "dispersion": {}, "shared_attributes": {}}
    pieces: list[Piece] = []
    for measure in look.measures("captions", "words", "content_words"):
        found = {"pool": _counted(look, measure)}
        found |= {f"split {split.name}": _counted(look, measure, split) for split in look.splits}
        numbers["captions"][measure.name] = {name: said.numbers() for name, said in found.items()}
        pieces += [_sheet(measure, found), Charts(list(_charts(found)))]
    pieces += _dispersions(look, numbers["dispersion"])
    for classes in look.measures("classes", "found") if look.request.pool.samples else ():
        counts = attribute_counts(look, classes)
        numbers["shared_attributes"][classes.name] = shared = _shared(counts)
        pieces.append(Paragraph(_shared_words(classes, counts, shared)))
    return Panel(ABOUT, numbers, pieces)


def _counted(look: Look, measure: MeasureFiles, split: SplitFiles | None = None) -> _Said:
    there = {name for name, _ in measure.columns} & set(_COLUMNS)
    columns = ", ".join(_COLUMNS[name][name not in there] for name in _COLUMNS)
    rows: str = _POOL.format(columns=columns)
    tables: dict[str, Sequence[str]] = {"captions": measure.parts}
    if split is not None:
        rows, tables = look.of_split(measure, split, f"words, content_words, {columns}")
    said = _Said(more=dict.fromkeys(there, (0, 0)))
    for content, captions, words, labels, attributes, named, known in look.rows(
        _COUNTED.format(rows=rows), **tables
    ):
        said.content[content] += captions
        said.words += words
        said.add("label_only", labels, captions)
        said.add("attributes", attributes, captions)
        said.add("class_named", named, known)
    return said


def _sheet(measure: MeasureFiles, found: dict[str, _Said]) -> Sheet:
    lines = []
    for name, said in found.items():
        of = said.numbers()
        means = (
            *map(_tenth, (of["mean_words"], of["mean_content_words"])),
            number(of["median_content_words"]),
        )
        shares = (
            "–" if of[key] is None else percent(of[key]) for key in ("share_label_only", "share_class_named")
        )
        lines.append((name, count(of["captions"]), *means, _tenth(of["mean_attributes"]), *shares))
    heads = ("Set", "Captions", "Mean words", "Mean content words", "Median content words", "Mean attributes")
    return Sheet(measure.name, (*heads, "Label-only", "Class named"), lines)


def _tenth(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _charts(found: dict[str, _Said]) -> Iterator[Chart]:
    splits = [name for name in found if name != "pool"]
    for start in range(0, max(len(splits), 1), len(STYLES)):
        some = ["pool", *splits[start : start + len(STYLES)]]
        styles = dict(zip(some, ("pool", *STYLES), strict=False))
        traces = [Trace(name, styles[name], _shares(found[name])) for name in some]
        across = Axis("content words of a caption", whole=True)
        yield plot("Captions by content words", across, Axis("% of captions"), traces)


def _shares(said: _Said) -> list[tuple[float, float]]:
    held: Counter[int] = Counter()
    for words, n in said.content.items():
        held[min(words, LONGEST)] += n
    whole = max(said.captions, 1)
    return [(float(words), 100 * held[words] / whole) for words in range(max(held, default=0) + 1)]


def _dispersions(look: Look, numbers: dict[str, Any]) -> Iterator[Piece]:
    """Say how differently captions of a class say it: the mean of 1 - cosine over their pairs."""
    for measure in look.measures(KIND, "similarity"):
        means = class_means(look, measure) if measure.options.get("of") == "text" else []
        if means:
            mean, half = over_classes(means)
            numbers[measure.name] = {
                "classes": len(means),
                "mean": rounded(1 - mean),
                "half_width_95": rounded(half),
            }
            sure = "" if half is None else f" ±\u00a0{half:.4f}"
            yield Paragraph(
                f"{measure.name}: captions of a class differ by {similarity(1 - mean)}{sure} (1 − cosine of their text "
                f"embeddings, mean over the pairs of a class and over {count(len(means))} classes, 95 % interval)."
            )


def _shared(counts: AttributeCounts) -> dict[str, Any]:
    by_attribute = counts.by_attribute()
    several = sum(len(of) > 1 for of in by_attribute.values())
    return {
        "attributes_by": counts.source,
        "samples": counts.samples,
        "attributes": len(by_attribute),
        "of_two_or_more_classes": several,
        "share": rounded(several / len(by_attribute)) if by_attribute else None,
    }


def _shared_words(classes: MeasureFiles, counts: AttributeCounts, shared: dict[str, Any]) -> str:
    share = "" if shared["share"] is None else f" ({percent(shared['share'])})"
    return (
        f"{classes.name}: {count(shared['of_two_or_more_classes'])} of {count(shared['attributes'])} attributes{share} "
        f"occur in captions of two or more classes, by the {counts.source} of {count(counts.samples)} samples that "
        "name a class, drawn by hash; words of a class's own name do not count for it."
    )
