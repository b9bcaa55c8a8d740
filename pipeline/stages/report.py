"""The report: `report/report.html` for people, `report/audit.json` for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from indexes.quality import Quality
from indexes.search import is_exact
from pipeline.commit import Attempt, fingerprint
from pipeline.execution.work import Json, RunContext, Work, output_digests, output_paths
from pipeline.readers import Reader, Shard, open_reader
from pipeline.report import build_report
from pipeline.report.request import BenchmarkFiles, Options, ReportRequest, Search, SetFiles, SplitFiles
from pipeline.sets.source import Source
from pipeline.stages.catalog import encoder_of

PACKAGES = ("nearfar", "torch", "open_clip_torch", "faiss-cpu", "duckdb", "pyarrow", "numpy")


def plan(run: RunContext) -> Iterator[list[Work]]:
    """List one unit."""
    records = [record for stage in run.done.values() for record in stage.values()]
    identity: Json = {
        "name": run.plan.name,
        "outputs": sorted(output_digests(records)),
        "audit": run.plan.audit.model_dump(),
        "provenance": provenance(run),
        "command": run.command,
        "withheld": [],
    }
    if not is_exact(run.plan.engine.backend):
        identity["search"] = searched(run)
    pictured = [name for name in run.sets() if any(shard.has_images for shard in run.shards(name))]
    sources = {name: run.sets()[name].model_dump() for name in pictured}
    yield [Work("report", "report", identity, run.settings | {"files": files(run), "sources": sources})]


def provenance(run: RunContext) -> Json:
    """Say what the report was made from; no time, host or path."""
    sets = {
        name: {
            "rows": run.done["catalog"][name].facts["rows"],
            "format": source.format,
            "files": fingerprint(*(run.digests.sha256(f) for shard in run.shards(name) for f in shard.files)),
            "notes": run.done["catalog"][name].facts["notes"],
            "normalised": normalised(run, name),
        }
        for name, source in run.sets().items()
    }
    return {
        "encoder": encoder_of(run, "pool") or "not recorded by the pool",
        "sets": sets,
        "neighbours": run.plan.neighbours,
        "versions": {package: version(package) for package in PACKAGES},
    }


def searched(run: RunContext) -> Json:
    """Say how far an approximate backend was from exact, over all parts of the pool."""
    total = Quality(0, 0, 0, 0.0, 0 if run.plan.reference else None)
    for record in run.records("measure"):
        total += Quality(**record.facts["quality"])
    return {
        "backend": run.plan.engine.backend,
        "exact": False,
        "recall": total.recall,
        "sampled": total.rows,
        "compared": total.compared,
        "similarity_error": total.similarity_error,
        "differing_decisions": total.differing_decisions,
    }


def normalised(run: RunContext, name: str) -> int:
    """Count a set's vectors that came unnormalised."""
    stage = {"pool": "measure", "reference": "calibrate"}.get(name, "index")
    records = run.records(stage) if stage != "index" else [run.done["index"][name]]
    return sum(record.facts["normalised"] for record in records)


def files(run: RunContext) -> Json:
    """List the committed files that the report may open, by role."""
    sets = {name: _set_files(run, name) for name in run.sets()}
    splits = {
        name: {
            "facts": f"splits/{name}/split.json",
            "uids": f"splits/{name}/uids.npy",
            "neighbours": {b: f"neighbours/{name}/{b}.parquet" for b in run.plan.benchmarks},
        }
        for name in run.plan.splits
    }
    measures = output_paths(run.records("measure"), "measures/similarity/part-")
    return {
        "sets": sets,
        "splits": splits,
        "measures": measures,
        "benchmarks": list(run.plan.benchmarks),
        "backend": run.plan.engine.backend,
    }


def _set_files(run: RunContext, name: str) -> Json:
    read = run.records("read", f"{name}-")
    quarantined = (
        output_paths(run.records("measure"), "measures/similarity/quarantined-") if name == "pool" else []
    )
    if name in run.plan.benchmarks:
        quarantined = [f"indexes/{name}/quarantined.parquet"]
    return {
        "dataset": run.sets()[name].dataset,
        "samples": output_paths(read, f"samples/{name}/part-"),
        "lost": output_paths(read, f"samples/{name}/lost-"),
        "quarantined": quarantined,
        "duplicates": f"samples/{name}/duplicates.parquet" if name == "pool" else None,
    }


def perform(work: Work, into: Attempt) -> Json:
    """Write the report."""
    listed = work.settings["files"]
    sets = {name: _as_set(name, described) for name, described in listed["sets"].items()}
    audit = work.identity["audit"]
    search = work.identity.get("search", {"backend": listed["backend"]})
    request = ReportRequest(
        out=Path(work.settings["out"]),
        plan=work.identity["name"],
        pool=sets["pool"],
        reference=sets.get("reference"),
        benchmarks=tuple(
            BenchmarkFiles(sets[name], f"indexes/{name}/queries.parquet", f"neighbours/{name}.parquet")
            for name in listed["benchmarks"]
        ),
        splits=tuple(SplitFiles(name, **described) for name, described in listed["splits"].items()),
        measures=tuple(listed["measures"]),
        options=Options(audit["hard"], audit["soft"], audit["pairs"]),
        search=Search(**search),
        provenance=work.identity["provenance"],
        command=work.identity["command"],
        fetch_images=_fetcher(
            {name: Source(**described) for name, described in work.settings["sources"].items()}
        ),
    )
    return build_report(request, into)


def _as_set(name: str, described: Json) -> SetFiles:
    lists = {role: tuple(described[role]) for role in ("samples", "lost", "quarantined")}
    return SetFiles(name, described["dataset"], duplicates=described["duplicates"], **lists)


def _fetcher(sources: Mapping[str, Source]) -> Any:
    """Read images from the sets that have them, opening each shard once and listing each set once."""

    @cache
    def listed(name: str) -> tuple[Reader, list[Shard]]:
        reader = open_reader(sources[name])
        return reader, reader.shards(sources[name])

    def fetch(wanted: Mapping[str, Mapping[str, int]]) -> dict[tuple[str, str], bytes]:
        found: dict[tuple[str, str], bytes] = {}
        for name, keys in wanted.items():
            if name not in sources:
                continue
            reader, shards = listed(name)
            parts = set(keys.values())
            for shard in (one for one in shards if one.has_images and one.number in parts):
                inside = {key for key, part in keys.items() if part == shard.number}
                images = reader.image(sources[name], shard, inside)
                found |= {(name, key): image for key, image in images.items()}
        return found

    return fetch
