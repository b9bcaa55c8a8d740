"""The committed files that the report may open, by role."""

from __future__ import annotations

from curation.measures import dump
from pipeline import layout
from pipeline.execution.context import RunContext, paths
from pipeline.measuring import Instance
from pipeline.passes.located import indexed_sets, measured_sets, offered_sets, parts_of, wanted_vectors
from pipeline.passes.provenance import told_counts
from pipeline.report import sections
from pipeline.report.request import BenchmarkFiles, MeasureFiles, SetFiles, SplitFiles
from pipeline.stages import offer


def _numbers(run: RunContext, name: str) -> list[int]:
    return [part.number for part in parts_of(run, name)]


def of_set(run: RunContext, name: str) -> SetFiles:
    """List the files of a set: its samples, what was lost of it and set aside, and its duplicates."""
    numbers = _numbers(run, name)
    repeated = run.record("catalog", name).facts["duplicates"]
    return SetFiles(
        name,
        run.sets()[name].dataset,
        tuple(layout.samples(name, number) for number in numbers),
        tuple(layout.lost(name, number) for number in numbers),
        _quarantined(run, name),
        layout.duplicates(name) if repeated else None,
    )


def _quarantined(run: RunContext, name: str) -> tuple[tuple[str, ...], ...]:
    """List the files of rows without a comparable vector, those of a part together."""
    if run.plan.benchmarks and (name == "reference" or name in offered_sets(run)):
        return tuple(tuple(offer.without_vector(run, name, number)) for number in _numbers(run, name))
    if name in indexed_sets(run):
        return ((layout.set_aside(name, "image", 0),),)
    if name != "pool":
        return ()
    encoders = [encoder for encoder, kinds in wanted_vectors(run)[name].items() if "image" in kinds]
    lanes = [f"{encoder} image" for encoder in encoders]
    return tuple(
        tuple(layout.set_aside(name, lane, number) for lane in lanes) for number in _numbers(run, name)
    )


def benchmark(run: RunContext, name: str) -> BenchmarkFiles:
    """List the files of a benchmark: its set, its queries, and what the pool's parts are to them."""
    kind = run.instances()[name].kind
    return BenchmarkFiles(
        of_set(run, name),
        layout.index(name, "queries.parquet"),
        layout.neighbours(name),
        tuple(layout.measure(kind, name, number) for number in _numbers(run, "pool")),
        layout.unrelated(name),
        layout.index(name, "index.faiss") if _compares_within_classes(run) else None,
    )


def _compares_within_classes(run: RunContext) -> bool:
    """Say whether the report looks at the queries' vectors, which it sets beside those of classes."""
    return any(one.kind == "intra_class" for one in run.instances().values())


def split(run: RunContext, name: str) -> SplitFiles:
    """List the files of a split: its facts, the gap left, and what it kept."""
    neighbours = layout.gap(name) if run.plan.benchmarks else None
    kept = paths([run.record("split", name)], layout.split(name, "part-"))
    facts, uids = layout.split(name, "split.json"), layout.split(name, "uids.npy")
    return SplitFiles(name, facts, neighbours, uids, tuple(kept))


def measures(run: RunContext) -> tuple[MeasureFiles, ...]:
    """List the files of the measures other than similarity, each with its columns."""
    numbers = _numbers(run, "pool")
    return tuple(
        MeasureFiles(
            one.name,
            one.kind,
            tuple((column.name, column.meaning) for column in one.measure.columns()),
            tuple(layout.measure(one.kind, one.name, number) for number in numbers),
            dump(one.measure),
            {table: _table(run, one, table) for table in sections.tables(one.kind)},
            told_counts(run, one),
            _of_sets(run, one),
        )
        for one in run.instances().values()
        if one.name not in run.plan.benchmarks
    )


def _of_sets(run: RunContext, one: Instance) -> dict[str, tuple[str, ...]]:
    """List a measure's files of the further sets that splits add, with the same options, where a section reads them."""
    if not sections.looks_at_sets(one.kind):
        return {}
    return {
        name: tuple(layout.measure(one.kind, one.name, number, name) for number in _numbers(run, name))
        for name, levels in measured_sets(run).items()
        if name in offered_sets(run)
        and any(each.name == one.name and each.measure == one.measure for level in levels for each in level)
    }


def _table(run: RunContext, one: Instance, table: str) -> tuple[str, ...]:
    found = paths(run.part_records("measure", one.name), layout.measure_tables(one.kind, one.name, table))
    return tuple(found)
