"""Class frequency against accuracies that a user brings, and how far captions and images disagree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from curation.classes import NamedClasses, digest_of
from curation.expressions import quoted
from curation.kernels.frequency_curve import FrequencyCurve, frequency_curve, misalignment, spearman
from pipeline.plan.user_tables import ClassAccuracy, read_accuracies
from pipeline.report.drawing.axes import Chart
from pipeline.report.drawing.plots import STYLES, Axis, Trace, plot
from pipeline.report.drawing.text import count, number, percent
from pipeline.report.request import MeasureFiles
from pipeline.report.sections._classed import ANY, ClassColumn, class_columns, named_classes, totals
from pipeline.report.sections._look import FIRST_ROW, Look
from pipeline.report.sections._panel import Charts, LeftOut, Panel, Paragraph, Piece, Sheet, rounded

TITLE, PLACE = "Frequency and accuracy", 50
NEEDS = (ANY,)

ABOUT = (
    "Accuracy on a class against how often the pool names it, all of it: what a split drops counts here, and what it "
    "adds from other sets does not. The published correlation is Pearson's over bins of ln "
    "frequency, without the first and the last one (arXiv 2404.04125); it is fragile, and far higher than Spearman's "
    "over the classes themselves, which stands beside it."
)
_MISALIGNED = """
SELECT count(*) FILTER (t AND i AND NOT list_has_any(texts, images)), count(*) FILTER (t), count(*) FILTER (i)
FROM (SELECT texts, images, coalesce(len(texts) > 0, false) AS t, coalesce(len(images) > 0, false) AS i FROM (
SELECT f.found::VARCHAR[] AS texts, {column}::VARCHAR[] AS images FROM (SELECT uid, found FROM read_parquet($found)) f
JOIN read_parquet($images) v USING (uid) {first}))
"""


def say(look: Look) -> Panel | LeftOut:
    """Set the accuracies of each model beside the counts of each column of classes, and captions beside images."""
    compared = list(_compared(look))
    if look.request.accuracies is None and not compared:
        return LeftOut(
            "the plan names no table of accuracies (audit.accuracies), and the run has no classes of captions beside "
            "those of images: a measure tags with names beside classes of that list, or audit.image_classes"
        )
    numbers: dict[str, Any] = {"curves": {}, "misalignment": {}}
    pieces: list[Piece] = []
    if look.request.accuracies is not None:
        given = read_accuracies(look.request.accuracies)
        for of in class_columns(look):
            pieces += _curves(look, of, given, numbers["curves"])
    for captions, images in compared:
        pieces += _misaligned(look, captions, images, numbers["misalignment"])
    return Panel(ABOUT, numbers, pieces)


def _compared(look: Look) -> Iterator[tuple[MeasureFiles, str]]:
    """List each measure `classes` with each column of what is seen: that of the plan, and tags of the same list."""
    tags = look.measures("tags", "found")
    for captions in look.measures("classes", "found"):
        seen = [f"{images.name}.found" for images in tags if _list_of(images) == _list_of(captions)]
        named = look.request.image_classes
        yield from ((captions, each) for each in dict.fromkeys([*([named] if named else []), *seen]))


def _list_of(measure: MeasureFiles) -> str:
    """Name a class list by what is in it: other digests of a measure cover WordNet too."""
    return digest_of(str(measure.options["names"]), f"measures.{measure.name}.names")


def _curves(
    look: Look, of: ClassColumn, given: Sequence[ClassAccuracy], numbers: dict[str, Any]
) -> Iterator[Piece]:
    counts = totals(look, of).counts.astype(np.float64)
    placed, unknown = _placed(named_classes(of.files), given)
    curves: dict[str, FrequencyCurve] = {}
    found = numbers[of.name] = {"unknown_classes": unknown, "models": {}}
    for model, rows in placed.items():
        at = np.array([position for position, _ in rows])
        accuracy = np.array([one.accuracy for _, one in rows])
        curves[model] = curve = frequency_curve(counts[at], accuracy)
        said = [one.predictions for _, one in rows]
        predicted = np.array([np.nan if value is None else value for value in said], np.float64)
        there = ~np.isnan(predicted)
        found["models"][model] = {
            "classes": len(rows),
            "pearson_binned": rounded(curve.pearson()),
            "spearman": rounded(spearman(counts[at], accuracy)),
            "spearman_predictions": rounded(spearman(counts[at][there], predicted[there]))
            if there.any()
            else None,
            "bins": [
                [rounded(e), rounded(m), int(n)]
                for e, m, n in zip(curve.edges, curve.means, curve.sizes, strict=True)
            ],
        }
    if curves:
        yield _sheet(of.name, found["models"])
        yield Charts([_chart(curves)])
    if unknown:
        some = ", ".join(unknown[:5])
        yield Paragraph(
            f"{of.name}: {count(len(unknown))} classes of the table are left out, since the class list has none "
            f"or several of that name: {some}{', …' if len(unknown) > 5 else ''}. An id names one."
        )


def _placed(
    classes: NamedClasses, given: Sequence[ClassAccuracy]
) -> tuple[dict[str, list[tuple[int, ClassAccuracy]]], list[str]]:
    """Find each row's class, by id, or by a name that one class alone has; say which are not found."""
    ids = {each: at for at, each in enumerate(classes.ids)}
    by_name: Mapping[str, set[int]] = defaultdict(set)
    for at, names in enumerate(classes.names):
        for name in names:
            by_name[_plain(name)].add(at)
    placed: dict[str, list[tuple[int, ClassAccuracy]]] = defaultdict(list)
    unknown: dict[str, None] = {}
    for one in given:
        named = by_name.get(_plain(one.of), set())
        place = ids.get(one.of, next(iter(named)) if len(named) == 1 else None)
        if place is None:
            unknown[one.of] = None
        else:
            placed[one.model or "the model"].append((place, one))
    return dict(placed), list(unknown)


def _plain(name: str) -> str:
    return name.replace("_", " ").casefold()


def _sheet(name: str, models: Mapping[str, Mapping[str, Any]]) -> Sheet:
    heads = ("Model", "Classes", "Pearson, binned", "Spearman, by class", "Spearman, of predictions")
    lines = [
        (
            *(model, count(of["classes"])),
            *(_three(of[key]) for key in ("pearson_binned", "spearman", "spearman_predictions")),
        )
        for model, of in models.items()
    ]
    return Sheet(name, heads, lines)


def _three(value: float | None) -> str:
    return number(None if value is None else round(value, 3))


def _chart(curves: Mapping[str, FrequencyCurve]) -> Chart:
    some = list(curves.items())[: len(STYLES)]
    traces = [
        Trace(
            model,
            style,
            [(e, m) for e, m in zip(curve.edges.tolist(), curve.means.tolist(), strict=True) if m == m],
        )
        for (model, curve), style in zip(some, STYLES, strict=False)
    ]
    return plot(
        "Accuracy by frequency", Axis("ln of the class's samples"), Axis("mean accuracy of a bin, %"), traces
    )


def _misaligned(look: Look, measure: MeasureFiles, column: str, numbers: dict[str, Any]) -> Iterator[Piece]:
    """Compare the classes of a caption with those that are seen in the image, as positions or as the column's texts."""
    name, dot, inner = column.partition(".")
    of = next((one.parts for one in look.request.measures if dot and one.name == name), None)
    images = look.request.pool.samples if of is None else of
    seen = quoted(column if of is None else inner)
    sql = _MISALIGNED.format(column=f"v.{seen}", first=FIRST_ROW if of is None else "")
    [(apart, by_text, by_image)] = look.rows(sql, found=measure.parts, images=images)
    degree = misalignment(apart, by_text, by_image)
    numbers.setdefault(measure.name, {})[column] = {
        "misaligned": apart,
        "tagged_by_text": by_text,
        "tagged_by_image": by_image,
        "degree": rounded(degree),
    }
    share = "–" if rounded(degree) is None else percent(degree)
    yield Paragraph(
        f"{measure.name} against {column}: {count(apart)} samples name classes in the caption and show others, none of "
        f"them the same; {count(by_text)} have a class by caption, {count(by_image)} by image. Misalignment degree "
        f"{share}: of the larger of the two."
    )
