"""Intra-class similarity, per class and in all, beside benchmarks whose queries have labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from curation.kernels.pairwise import mean_interval, mean_to_others
from curation.measures.of_class.intra_class import drawn
from pipeline.files.index_file import load_index
from pipeline.files.parquet import read_parquet
from pipeline.report.drawing.axes import Chart
from pipeline.report.drawing.plots import STYLES, Axis, Trace, plot
from pipeline.report.drawing.text import brief, count, similarity
from pipeline.report.request import BenchmarkFiles, MeasureFiles
from pipeline.report.sections._classed import named_classes
from pipeline.report.sections._dispersion import KIND, ClassMean, class_means, of_values, over_classes
from pipeline.report.sections._look import Look
from pipeline.report.sections._panel import Charts, LeftOut, Panel, Piece, Sheet, rounded
from pipeline.sets.uids import as_pairs

TITLE, PLACE = "Intra-class similarity", 30
NEEDS = (f"{KIND}.similarity",)
LISTED = 2000

ABOUT = (
    "How similar two images of one class are: the cosine over the pairs of at most as many samples of a class as the "
    "measure draws by hash, with 95 % confidence intervals (per class by the jackknife over its samples, in all over "
    "classes; LAIONet, arXiv 2306.15769). Beside the pool stand benchmarks whose queries have labels, drawn alike."
)


def say(look: Look) -> Panel | LeftOut:
    """Look at each measure `intra_class` of images."""
    numbers: dict[str, Any] = {}
    pieces: list[Piece] = []
    for measure in look.measures(KIND, "similarity"):
        means = class_means(look, measure) if measure.options.get("of", "image") == "image" else []
        if means:
            others = dict(_references(look, measure))
            names = _class_names(look, measure)
            numbers[measure.name] = _numbers(means, others, names)
            pieces += _pieces(measure, means, others, names)
    if not numbers:
        return LeftOut("no measure intra_class of images found two samples of one class")
    return Panel(ABOUT, numbers, pieces)


def _references(look: Look, measure: MeasureFiles) -> Iterator[tuple[str, list[ClassMean]]]:
    """Measure the labelled queries of each benchmark, drawn as the pool's samples are."""
    most, seed = int(measure.options.get("most", 100)), int(measure.options.get("seed", 0))
    for benchmark in look.request.benchmarks:
        means = list(_labelled(look, benchmark, most, seed))
        if means:
            yield benchmark.name, means


def _labelled(look: Look, benchmark: BenchmarkFiles, most: int, seed: int) -> Iterator[ClassMean]:
    if benchmark.index is None:
        return
    table = read_parquet(look.request.path(benchmark.queries), ["uid", "label"])
    rows: dict[str, list[int]] = defaultdict(list)
    for at, label in enumerate(table.column("label").to_pylist()):
        if label:
            rows[label].append(at)
    if not any(len(of) > 1 for of in rows.values()):
        return
    vectors = load_index(look.request.path(benchmark.index))
    uids = as_pairs(table.column("uid"))
    for label, of in sorted(rows.items()):
        chosen = np.array(of)[drawn(uids[of], most, seed)]
        if len(chosen) > 1:
            yield of_values(label, mean_to_others(vectors[chosen]).tolist())


def _class_names(look: Look, measure: MeasureFiles) -> dict[str, tuple[str, ...]]:
    """Map what the grouping column holds to the class's id and names; empty where it is no measure `classes`."""
    name = str(measure.options.get("within", "")).partition(".")[0]
    of = next((one for one in look.measures("classes") if one.name == name), None)
    if of is None:
        return {}
    listed = named_classes(of)
    return {str(at): (listed.ids[at], *listed.names[at]) for at in range(len(listed))}


def _numbers(
    means: list[ClassMean], others: dict[str, list[ClassMean]], names: dict[str, Any]
) -> dict[str, Any]:
    found = {"pool": _summed(means)} | {f"benchmark {name}": _summed(of) for name, of in others.items()}
    for name, of in others.items():
        gaps = [own.mean - other.mean for own, other in _matched(means, of, names)]
        mean, half = mean_interval(gaps) if gaps else (None, None)
        found[f"benchmark {name}"] |= {
            "matched_classes": len(gaps),
            "pool_minus_this": rounded(mean),
            "pool_minus_this_half_width_95": rounded(half),
        }
    return found


def _summed(means: list[ClassMean]) -> dict[str, Any]:
    mean, half = over_classes(means)
    listed = [[each.group, each.samples, rounded(each.mean), rounded(each.half)] for each in means[:LISTED]]
    samples = sum(each.samples for each in means)
    return {
        "classes": len(means),
        "samples": samples,
        "mean": rounded(mean),
        "half_width_95": rounded(half),
        "by_class": listed,
    }


def _matched(
    means: list[ClassMean], other: list[ClassMean], names: dict[str, Any]
) -> list[tuple[ClassMean, ClassMean]]:
    """Pair classes of the pool with labels that are their value, id or one of their names, whatever the case."""
    labels = {_plain(each.group): each for each in other}
    found = []
    for own in means:
        known = (own.group, *names.get(own.group, ()))
        match = next((labels[_plain(name)] for name in known if _plain(name) in labels), None)
        if match is not None:
            found.append((own, match))
    return found


def _plain(name: str) -> str:
    return name.replace("_", " ").casefold()


def _pieces(
    measure: MeasureFiles, means: list[ClassMean], others: dict[str, list[ClassMean]], names: dict[str, Any]
) -> Iterator[Piece]:
    lines = [_line(name, of) for name, of in _numbers(means, others, names).items()]
    heads = ("Set", "Classes", "Samples", "Mean over classes", "Classes of both", "Pool minus this")
    yield Sheet(measure.name, heads, lines)
    yield Charts([_chart(means, others)])
    matches: dict[str, dict[str, ClassMean]] = {
        name: {own.group: match for own, match in _matched(means, of, names)} for name, of in others.items()
    }
    ordered = sorted(means, key=lambda each: (each.mean, each.group))[:LISTED]
    rows = [_row(each, names, [of.get(each.group) for of in matches.values()]) for each in ordered]
    yield Sheet("Classes, the least similar first", ("Class", "Samples", "Pool", *others), rows, more=8)


def _line(name: str, of: dict[str, Any]) -> tuple[str, ...]:
    own = (name, count(of["classes"]), count(of["samples"]), _within(of["mean"], of["half_width_95"]))
    if "matched_classes" not in of:
        return (*own, "–", "–")
    gap = _within(of["pool_minus_this"], of["pool_minus_this_half_width_95"])
    return (*own, count(of["matched_classes"]), gap)


def _row(each: ClassMean, names: dict[str, Any], others: Sequence[ClassMean | None]) -> tuple[str, ...]:
    called = names.get(each.group, (each.group, each.group))[1]
    beside = ("–" if other is None else _within(other.mean, other.half) for other in others)
    return (brief(called), count(each.samples), _within(each.mean, each.half), *beside)


def _within(mean: float | None, half: float | None) -> str:
    return similarity(mean) if half is None else f"{similarity(mean)} ± {half:.4f}"


def _chart(means: list[ClassMean], others: dict[str, list[ClassMean]]) -> Chart:
    some = {"pool": means} | dict(list(others.items())[: len(STYLES)])
    traces = [
        Trace(name, style, _sorted(of))
        for (name, of), style in zip(some.items(), ("pool", *STYLES), strict=False)
    ]
    across = Axis("% of classes, the least similar first", bounds=(0.0, 100.0))
    return plot("Intra-class similarity of each class", across, Axis("mean similarity of two images"), traces)


def _sorted(means: list[ClassMean]) -> list[tuple[float, float]]:
    values = sorted(each.mean for each in means)
    return [(100 * at / max(len(values) - 1, 1), value) for at, value in enumerate(values)]
