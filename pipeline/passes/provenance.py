"""What a report was made from, and how far an approximate search was from exact."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version

from curation.measures.told._told import ToldMeasure
from indexes.quality import Quality
from indexes.search import is_exact
from pipeline.commit import Record, fingerprint
from pipeline.execution.context import RunContext
from pipeline.execution.work import Json
from pipeline.measuring import Instance, encoder_name
from pipeline.passes.located import indexed_sets, parts_of, unit_name, wanted_vectors
from pipeline.passes.looked_at import told_unit
from pipeline.passes.looked_at import unit_name as measuring_unit
from pipeline.passes.one_pass import SET_ASIDE
from pipeline.report.request import Search
from pipeline.stages import calibrate
from pipeline.stages.catalog import encoder_of

_IDLE = {
    "incomplete": "lack a name or a tag",
    "improbable": "have no probability from 0 to 1",
    "unknown": "name no sample of the pool",
    "ambiguous": "have a key of several samples",
    "doubled": "say a pair again",
}
PACKAGES = ("nearfar", "torch", "open_clip_torch", "faiss-cpu", "faiss-gpu", "duckdb", "pyarrow", "numpy")


def provenance(run: RunContext) -> Json:
    """Say what the report was made from; no time, host or path."""
    sets = {
        name: {
            "rows": run.record("catalog", name).facts["rows"],
            "format": source.format,
            "files": _files(run, name),
            "notes": [*run.record("catalog", name).facts["notes"], *(_told(run) if name == "pool" else ())],
            "normalised": normalised(run, name),
        }
        for name, source in run.sets().items()
    }
    tables = {one.name: counts for one in run.instances().values() if (counts := told_counts(run, one))}
    found = _encoders(run) | {"sets": sets, "versions": _versions()} | ({"tables": tables} if tables else {})
    return found | ({"neighbours": run.plan.neighbours} if run.plan.benchmarks else {})


def told_counts(run: RunContext, one: Instance) -> dict[str, int]:
    """Say what became of the rows of the table that a measure reads; empty where it reads none."""
    if not isinstance(one.measure, ToldMeasure):
        return {}
    return dict(run.record("tell", told_unit(one.measure)).facts["told"])


def _told(run: RunContext) -> list[str]:
    """Note the tables of which rows say nothing of the pool."""
    found = []
    for one in run.instances().values():
        counts = told_counts(run, one)
        idle = {words: counts[what] for what, words in _IDLE.items() if counts.get(what)}
        if idle:
            said = ", ".join(f"{number:,} {words}" for words, number in idle.items())
            found.append(f"the table of {one.name}: of {counts['rows']:,} rows, {said}")
    return found


def _encoders(run: RunContext) -> Json:
    """Name what embedded the pool; a plan that looks at no embedding has none to name."""
    looked_at = sorted(wanted_vectors(run)["pool"])
    made_by: Json = {name: encoder_of(run, "pool", name) or "not recorded by the pool" for name in looked_at}
    if len(looked_at) == 1:
        return {"encoder": made_by[looked_at[0]]}
    return {"encoders": made_by} if made_by else {}


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # one FAISS or the other
            continue
    return found


def _files(run: RunContext, name: str) -> str:
    """Digest what was in a set's files, as the units that read them found it."""
    return fingerprint(
        sorted({record.facts["inputs"] for record in _readers(run, name) if "inputs" in record.facts})
    )


def _readers(run: RunContext, name: str) -> Iterator[Record]:
    yield from (run.record("read", unit_name(name, part.number)) for part in parts_of(run, name))
    if name == "pool":
        yield from run.records("measure")
    elif name == "reference":
        yield from run.records("calibrate")
    if name in indexed_sets(run):
        yield run.record("index", name)


def normalised(run: RunContext, name: str) -> int:
    """Count a set's vectors that came unnormalised."""
    if name in indexed_sets(run) and not (name == "reference" and run.plan.benchmarks):
        return int(run.record("index", name).facts["normalised"])
    numbers = [part.number for part in parts_of(run, name)]
    records: list[Record] = []
    if name == "pool":
        for encoder, kinds in wanted_vectors(run)[name].items():
            units = [measuring_unit(f"{SET_ASIDE} {encoder}", number) for number in numbers]
            records += [run.record("measure", unit) for unit in units if "image" in kinds]
    if name == "reference":
        # Benchmarks of one encoder are compared with the same vectors: they are counted for one of them.
        for benchmark in {encoder_name(run.plan, one): one for one in run.plan.benchmarks}.values():
            units = [calibrate.unit_name(benchmark, number) for number in numbers]
            records += [run.record("calibrate", unit) for unit in units]
    return sum(int(record.facts["normalised"]) for record in records)


def searched(run: RunContext) -> Json:
    """Say how neighbours were found; of an approximate backend, how far from exact it was, over all parts."""
    backend = run.plan.engine.backend
    if is_exact(backend) or not run.plan.benchmarks:
        return asdict(Search(backend))
    found = [_quality(run, name) for name in run.plan.benchmarks]
    total = sum(found[1:], found[0])
    # The same samples are checked for every benchmark of an encoder.
    sampled = max(each.rows for each in found)
    return asdict(
        Search(
            backend,
            False,
            total.recall,
            sampled,
            total.compared,
            total.similarity_error,
            total.differing_decisions,
        )
    )


def _quality(run: RunContext, benchmark: str) -> Quality:
    total = Quality(0, 0, 0, 0.0, 0 if run.plan.reference else None)
    for part in parts_of(run, "pool"):
        facts = run.record("measure", measuring_unit(benchmark, part.number)).facts
        total += Quality(**facts["quality"])
    return total
