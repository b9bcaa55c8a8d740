"""What the template shows, section by section."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from curation.audit import gap
from curation.leakage import MODALITY_NAMES, Leakage
from pipeline.report.by_chance.calibration import chance_sentence, mark
from pipeline.report.compare import above_reference, set_key
from pipeline.report.drawing.axes import Chart
from pipeline.report.drawing.cards import Group, groups
from pipeline.report.drawing.chance_chart import chance_chart
from pipeline.report.drawing.charts import Series, curve, gap_bounds, ranks, ridges
from pipeline.report.drawing.pool_charts import Counted, density, kept
from pipeline.report.drawing.text import brief
from pipeline.report.evidence import Source
from pipeline.report.findings import Finding, Findings
from pipeline.report.scan import ALL
from pipeline.report.statements import confidence, level_of, sentence

# Colours and dashes that can be told apart in one chart; more splits go to further charts.
STYLES = ("s1", "s2", "s3", "s4", "s5", "s6")


@dataclass(frozen=True, slots=True)
class Line:
    """A set in the table of thresholds: its style, name, quantiles, and queries above each named threshold."""

    style: str
    name: str
    median: float | None
    highest: float | None
    above: tuple[int, ...]
    above_reference: int | None


@dataclass(frozen=True, slots=True)
class Section:
    """One benchmark."""

    finding: Finding
    anchor: str
    level: str
    sentence: str
    confidence: str
    charts: tuple[Chart, ...]
    chance: str
    lines: tuple[Line, ...]
    groups: tuple[Group, ...]


def section(findings: Findings, finding: Finding, at: int) -> Section:
    """Put together what is shown of one benchmark."""
    series = _series(findings, finding)
    return Section(
        finding,
        f"benchmark-{at + 1}",
        level_of(findings, finding),
        sentence(finding, findings.request.options),
        confidence(finding, findings.request.search),
        tuple(_charts(findings, finding, series)),
        chance_sentence(finding, findings.rows["pool"].measured),
        tuple(_line(findings, finding, each) for each in series),
        tuple(groups(findings, finding)),
    )


def _series(findings: Findings, finding: Finding) -> list[Series]:
    """Name and style every set: the reference, the pool, then the splits in plan order."""
    styles = {"reference": ("reference", "ref"), "pool": ("pool", "pool")}
    for at, split in enumerate(findings.request.splits):
        styles[set_key(split.name)] = (brief(split.name), STYLES[at % len(STYLES)])
    return [
        Series(key, name, style, gap(finding.compared.sets[key].nearest), finding.compared.sets[key].medians)
        for key, (name, style) in styles.items()
        if key in finding.compared.sets
    ]


def _charts(findings: Findings, finding: Finding, series: list[Series]) -> Iterator[Chart]:
    options = findings.request.options
    levels = [(options.soft, f"soft {options.soft:g}"), (options.hard, f"hard {options.hard:g}")]
    bounds = gap_bounds(series, [value for value, _ in levels])
    yield ridges(series, bounds, levels)
    fixed = [each for each in series if each.style in ("ref", "pool")]
    splits = [each for each in series if each.style not in ("ref", "pool")]
    charts = max(1, -(-len(splits) // len(STYLES)))
    size = max(1, -(-len(splits) // charts))
    for at in range(charts):  # neighbours in plan order, so that no style occurs twice in a chart
        yield curve([*fixed, *splits[at * size : (at + 1) * size]], bounds, levels)
    measured = finding.compared.measured
    if findings.request.has_reference:
        chart = density(
            Counted(finding.name, "pool", measured.margin, measured.samples), bool(findings.request.splits)
        )
        if chart is not None:
            yield chart
    beyond = ranks([*fixed, *splits[: len(STYLES)]])
    if beyond is not None:
        yield beyond
    if finding.chance is not None:
        stated = mark(finding.chance)
        chart = chance_chart(finding.chance, [*levels, *([stated] if stated else [])])
        if chart is not None:
            yield chart


def _line(findings: Findings, finding: Finding, series: Series) -> Line:
    answers = finding.compared.sets[series.key]
    present = series.gap.quantiles
    return Line(
        series.style,
        series.name,
        present[4] if present else None,
        present[-1] if present else None,
        tuple(int((answers.nearest > threshold).sum()) for threshold in findings.thresholds),
        above_reference(finding.compared, answers),
    )


def pool_charts(findings: Findings) -> list[Chart]:
    """Kept against threshold, for each benchmark and for their maximum."""
    options = findings.request.options
    levels = [(options.soft, f"soft {options.soft:g}"), (options.hard, f"hard {options.hard:g}")]
    names = [finding.name for finding in findings.benchmarks]
    many = len(names) > 1
    shown = [(ALL, "all benchmarks", "ref")] if many else []
    shown += [(name, name, STYLES[at % len(STYLES)]) for at, name in enumerate(names)]
    charts, cuts = [], bool(findings.request.splits)
    for start in range(0, len(shown), len(STYLES) + 1):
        some = shown[start : start + len(STYLES) + 1]
        measured = [(findings.measured[key], name, style) for key, name, style in some]
        similar = [Counted(n, s, m.similarity, m.samples) for m, n, s in measured]
        charts.append(kept(similar, False, levels, cuts))
        if findings.request.has_reference:
            offsets = [Counted(n, s, m.margin, m.samples) for m, n, s in measured]
            charts.append(kept(offsets, True, [(0.0, "0: the thresholds as they are")], cuts))
    return charts


@dataclass(frozen=True, slots=True)
class LeakRow:
    """A line of the leakage table; `first` marks the first one of a benchmark."""

    benchmark: str
    first: bool
    queries: int
    source: Source
    leak: Leakage

    @property
    def by_modality(self) -> list[tuple[str, int]]:
        """What comes along, and for how many queries; kinds that do not occur are left out."""
        counted = zip(MODALITY_NAMES, self.leak.by_modality, strict=True)
        return [(name, number) for name, number in counted if number]


def leak_rows(findings: Findings) -> list[LeakRow]:
    """List leakage by benchmark, source and degree."""
    return [
        LeakRow(finding.name, at == 0, len(finding.compared.queries), source, leak)
        for finding in findings.benchmarks
        for at, (source, leak) in enumerate(_leaks(finding))
    ]


def _leaks(finding: Finding) -> Iterator[tuple[Source, Leakage]]:
    for source in finding.sources:
        yield source, source.hard
        yield source, source.soft


def flattened(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Write nested provenance as dotted names with their values, in words: no bracket, no null."""
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from flattened(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list | tuple) and any(isinstance(one, Mapping | list | tuple) for one in value):
        for at, inner in enumerate(value, 1):
            yield from flattened(inner, f"{path}.{at}")
    else:
        yield brief(path), brief(_in_words(value))


def _in_words(value: Any) -> str:
    if value is None:
        return "not stated"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(_in_words, value)) or "none"
    return str(value) or "none" if value != {} else "none"
