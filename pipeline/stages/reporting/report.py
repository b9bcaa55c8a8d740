"""The report: `report.html` for people, `audit.json` for programs, and all near pairs as tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import layout
from pipeline.commit import Attempt, fingerprint
from pipeline.execution.context import RunContext, digests
from pipeline.execution.costs import Cost, Rates, rows_of
from pipeline.execution.work import Json, Work
from pipeline.files.inputs import Input
from pipeline.passes.located import groups_of, parts_of
from pipeline.passes.pictures import Pictured, fetcher
from pipeline.passes.provenance import provenance, searched
from pipeline.readers import format_of, stamp
from pipeline.report import sections
from pipeline.report.making import build_report
from pipeline.report.request import (
    BenchmarkFiles,
    MeasureFiles,
    ReportOptions,
    ReportRequest,
    Search,
    SetFiles,
    SplitFiles,
)
from pipeline.stages.reporting import _roles

AFTER = ("gap", "unrelated", "alike", "spectrum")
TABLES = {"accuracies", "results"}
"""Keys of `audit` that name tables of the user's."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What decides the report's bytes.

    Attributes:
        name: The plan's name.
        outputs: A digest over all that the plan's units committed.
        audit: Levels and sizes, and the column of what is seen in an image.
        search: How neighbours were found.
        neighbours: How many of them a query has, at most; 0 where the plan names no benchmark.
        provenance: What the report was made from.
        measures: The measures other than similarity: name, kind, and each column with its meaning.
        command: The command that reproduces the run.
        pictures: What is in the places of pictures that the plan names.
        sections: The sections that there are; with another one, the report is made again.
    """

    name: str
    outputs: str
    audit: Json
    search: Json
    neighbours: int
    provenance: Json
    measures: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...]
    command: str
    sections: tuple[str, ...] = ()
    pictures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """The committed files that the report may open, by role, where images lie, and the user's tables."""

    pool: SetFiles
    reference: SetFiles | None
    benchmarks: tuple[BenchmarkFiles, ...]
    splits: tuple[SplitFiles, ...]
    measures: tuple[MeasureFiles, ...]
    sources: tuple[SetFiles, ...]
    alike: dict[str, str]
    spectra: tuple[str, ...]
    pictured: dict[str, Pictured]
    tables: dict[str, str | None]


def plan(run: RunContext) -> Iterator[list[Work[Identity, Settings]]]:
    """List one unit."""
    records = [record for stage in run.done.values() for record in stage.values()]
    measured = _roles.measures(run)
    identity = Identity(
        run.plan.name,
        fingerprint(*sorted(digests(records))),
        run.plan.audit.model_dump(exclude=TABLES),
        searched(run),
        run.plan.neighbours if run.plan.benchmarks else 0,
        provenance(run),
        tuple((one.name, one.kind, one.columns) for one in measured),
        run.command,
        sections.names(),
        _places_of_pictures(run),
    )
    settings = Settings(
        _roles.of_set(run, "pool"),
        _roles.of_set(run, "reference") if run.plan.reference is not None else None,
        tuple(_roles.benchmark(run, name) for name in run.plan.benchmarks),
        tuple(_roles.split(run, name) for name in run.plan.splits),
        measured,
        tuple(_roles.of_set(run, name) for name in run.plan.sources),
        {name: layout.alike(name) for name in run.done.get("alike", {})},
        tuple(layout.spectra(what) for what in ("summary", "values") if run.done.get("spectrum")),
        _pictured(run),
        run.plan.audit.model_dump(include=TABLES),
    )
    given = tuple(Input(path, name) for name, path in settings.tables.items() if path is not None)
    rows, committed = sum(part.rows for part in parts_of(run, "pool")), run.outputs(_opened(settings))
    yield [Work("report", "report", identity, settings, run.place, given, committed, rows=rows)]


def _opened(settings: Settings) -> Iterator[str]:
    """List the committed files that the report opens."""
    reference = () if settings.reference is None else (settings.reference,)
    for files in (settings.pool, *reference, *(one.rows for one in settings.benchmarks), *settings.sources):
        yield from (*files.samples, *files.lost, *(path for part in files.quarantined for path in part))
        yield from () if files.duplicates is None else (files.duplicates,)
    yield from (path for one in settings.benchmarks for path in one.opened())
    yield from (path for one in settings.splits for path in one.opened())
    yield from (path for one in settings.measures for path in one.parts)
    yield from (path for one in settings.measures for of in one.of_sets.values() for path in of)
    yield from (path for one in settings.measures for of in one.tables.values() for path in of)
    yield from (*settings.alike.values(), *settings.spectra)


def expect(run: RunContext, rates: Rates) -> Cost:
    """One unit."""
    return Cost(1, rows=rows_of(run, "pool"))


def _pictured(run: RunContext) -> dict[str, Pictured]:
    """Say where the images of the sets lie that a report shows: in the set, or in a place beside it."""
    # Without a benchmark, the pool's alone: sections show samples of clusters and of groups of duplicates.
    shown = ("pool", "reference", *run.plan.benchmarks) if run.plan.benchmarks else ("pool",)
    found = {}
    for name in (name for name in shown if name in run.sets()):
        source, images = run.sets()[name], any(shard.has_images for shard in run.shards(name))
        parts = tuple((number, len(shards)) for number, shards in groups_of(run, name)) if images else ()
        beside = source.images or ("" if images else source.path)
        found[name] = Pictured(source.model_copy(update={"format": format_of(source)}), parts, beside)
    return found


def _places_of_pictures(run: RunContext) -> tuple[str, ...]:
    """Say what is in the places of pictures that the plan names: which files, of which size and time.

    A picture that changes there changes nothing but the report, which is then written again.
    """
    named = [source.images for source in run.sets().values() if source.images is not None]
    return tuple(stamp([Path(place)], False) for place in named) if run.plan.benchmarks else ()


def perform(work: Work[Identity, Settings], into: Attempt) -> Json:
    """Write the report."""
    identity, settings = work.identity, work.settings
    audit: dict[str, Any] = identity.audit
    request = ReportRequest(
        out=work.place.path(""),
        plan=identity.name,
        pool=settings.pool,
        reference=settings.reference,
        benchmarks=settings.benchmarks,
        splits=settings.splits,
        measures=settings.measures,
        sources=settings.sources,
        alike=settings.alike,
        spectra=settings.spectra,
        options=ReportOptions(audit["hard"], audit["soft"], audit["pairs"]),
        search=Search(**identity.search),
        neighbours=identity.neighbours,
        image_classes=audit.get("image_classes"),
        **settings.tables,
        memory_limit=work.place.memory_limit,
        threads=work.place.threads,
        provenance=identity.provenance,
        command=identity.command,
        fetch_images=fetcher(settings.pictured),
    )
    return build_report(request, into)
