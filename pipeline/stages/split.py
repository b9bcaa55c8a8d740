"""Rules over the measured columns: each split, after those that it starts from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from curation import rules
from curation.selection import Scope
from pipeline.commit import Attempt
from pipeline.execution.work import Json, RunContext, Work, output_digests, output_paths
from pipeline.files.database import parse_predicate
from pipeline.plan import SetAlgebra, Split
from pipeline.splits.candidates import nameable
from pipeline.splits.cutting import SplitRequest, cut
from pipeline.stages.measure import SCORE_TYPE


def plan(run: RunContext) -> Iterator[list[Work]]:
    """Give the splits in waves: each comes after those it is computed from."""
    shared = _shared(run)
    left = dict(run.plan.splits)
    while left:
        ready = [name for name, split in left.items() if not any(used in left for _, used in split.uses())]
        yield [_work(run, name, left.pop(name), shared) for name in ready]


def _shared(run: RunContext) -> tuple[Json, Json]:
    """Give identity and settings that all splits have in common."""
    read, measured = run.records("read", "pool-"), run.records("measure")
    lists = {
        "samples": (read, "samples/pool/part-"),
        "lost": (read, "samples/pool/lost-"),
        "measures": (measured, "measures/similarity/part-"),
        "quarantined": (measured, "measures/similarity/quarantined-"),
    }
    duplicates = "samples/pool/duplicates.parquet"
    identity: Json = {role: output_digests(records, under) for role, (records, under) in lists.items()}
    identity["duplicates"] = output_digests([run.done["catalog"]["pool"]], duplicates)
    paths: Json = {
        role: [run.path(path) for path in output_paths(records, under)]
        for role, (records, under) in lists.items()
    }
    repeated = run.done["catalog"]["pool"].facts["duplicates"]
    paths["duplicates"] = run.path(duplicates) if repeated else None
    return identity, paths


def _work(run: RunContext, name: str, split: Split, shared: tuple[Json, Json]) -> Work:
    used = sorted({other for _, other in split.uses()})
    under = {other: f"splits/{other}/part-" for other in used}
    parts = {other: [run.done["split"][other]] for other in used}
    decides: Json = {
        "rules": [list(rules.dump(rule)) for rule in split.rules],
        "from_": starting(split),
        "benchmarks": list(run.plan.benchmarks),
        "reference": run.plan.reference is not None,
    }
    identity = (
        shared[0]
        | decides
        | {
            "name": name,
            "splits": {other: output_digests(parts[other], under[other]) for other in used},
        }
    )
    paths = {other: [run.path(path) for path in output_paths(parts[other], under[other])] for other in used}
    return Work("split", name, identity, run.settings | {"paths": shared[1] | {"splits": paths}})


def starting(split: Split) -> Json | None:
    """Write what a split starts from as set algebra; None for the whole pool."""
    if isinstance(split.from_, SetAlgebra):
        return {split.from_.operation: list(split.from_.splits)}
    return None if split.from_ is None else {"union": [split.from_]}


def perform(work: Work, into: Attempt) -> Json:
    """Cut one split."""
    decides = {key: work.identity[key] for key in ("name", "rules", "from_", "benchmarks", "reference")}
    limits = {"memory_limit": work.settings["memory_limit"], "threads": work.settings["threads"]}
    described = (
        decides | work.settings["paths"] | limits | {"fingerprints": {"unit": work.unit().fingerprint}}
    )
    return cut(SplitRequest.from_json(described), Path(work.settings["out"]), into)


def check_rules(run: RunContext) -> None:
    """Check every rule against the columns that the pool has, before anything expensive is done.

    Raises:
        PlanError: If a predicate names a column that is not there, or does what no predicate may.
    """
    samples = [run.path(path) for path in output_paths(run.records("read", "pool-"), "samples/pool/part-")]
    columns = nameable(samples, dict.fromkeys(run.plan.benchmarks, SCORE_TYPE))
    benchmarks = tuple(run.plan.benchmarks)
    scope = Scope(benchmarks, run.plan.reference is not None, parse=parse_predicate, columns=columns)
    for name, split in run.plan.splits.items():
        split.resolved(name, scope)
