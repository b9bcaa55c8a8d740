"""Rules over the measured columns: each split, after those that it starts from.

Splits of one wave are cut from one look at the pool; each is fingerprinted by the columns that its own rules name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from curation import rules
from curation.measure import schema_of
from curation.rule import Scope
from pipeline import layout
from pipeline.commit import Attempt
from pipeline.execution.context import RunContext, digests, paths
from pipeline.execution.costs import SCORE_BYTES, TEXT_BYTES, Cost, Rates, rows_of
from pipeline.execution.work import Json, Place, Work
from pipeline.files.database import parse_predicate
from pipeline.passes.located import parts_of, wanted_vectors
from pipeline.passes.looked_at import pool_columns
from pipeline.passes.part_pass import lane
from pipeline.plan import SetAlgebra, Split
from pipeline.sets.unify import values_of
from pipeline.splits.binding import check
from pipeline.splits.cutting import cut_many
from pipeline.splits.pool_columns import measure_column
from pipeline.splits.pool_columns import own_columns as columns_of
from pipeline.splits.recheck import recheck
from pipeline.splits.requests import CutRequest, PoolPart, SplitRequest

AFTER = ("neighbours",)
READS_EMBEDDINGS = False


@dataclass(frozen=True, slots=True)
class Identity:
    """What decides a split's bytes.

    Attributes:
        name: The split.
        rules: Name and options of each rule, in order.
        from_: What it starts from, as set algebra; None for the whole pool.
        samples: Digests of the pool's rows, and of the lists of rows that no rule sees.
        measures: By name, digests of the measures that its rules read.
        renamed: Measures that a column of the pool is called like, which is then `pool_<name>`.
        splits: By name, digests of the splits that it is computed from.
    """

    name: str
    rules: tuple[tuple[str, Json], ...]
    from_: Json | None
    samples: dict[str, list[str]]
    measures: dict[str, list[str]]
    renamed: tuple[str, ...]
    splits: dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Settings:
    """The pool, in few words, for it may have very many parts; and the files of other splits.

    Attributes:
        parts: Number of each part, and the values of `row` that take no part.
        measures: The plan's measures by name: the file that each comes from.
        aside: Encoders whose embeddings of some row cannot be compared.
        splits: By name, the files of the splits that it is computed from.
        benchmarks: In plan order.
        reference: Whether the plan has a reference.
    """

    parts: tuple[tuple[int, tuple[int, ...]], ...]
    measures: dict[str, str]
    aside: tuple[str, ...]
    splits: dict[str, tuple[str, ...]]
    benchmarks: tuple[str, ...]
    reference: bool


def plan(run: RunContext) -> Iterator[list[Work[Identity, Settings]]]:
    """List the splits in waves: each comes after those it is computed from."""
    left = dict(run.plan.splits)
    while left:
        ready = [name for name, split in left.items() if not any(used in left for _, used in split.uses())]
        yield [_work(run, name, left.pop(name)) for name in ready]


def _work(run: RunContext, name: str, split: Split) -> Work[Identity, Settings]:
    named = measures_of(run, split)
    used = sorted({other for _, other in split.uses()})
    parts = {other: [run.record("split", other)] for other in used}
    under = {other: layout.split(other, "part-") for other in used}
    identity = Identity(
        name,
        tuple(rules.dump(rule) for rule in split.rules),
        starting(split),
        run.once("digests of the pool's rows", lambda: _samples(run)),
        {measure: _measured(run, measure) for measure in named},
        tuple(
            name for name in run.instances() if name.lower() in run.once("own names", lambda: _own_names(run))
        ),
        {other: digests(parts[other], under[other]) for other in used},
    )
    settings = Settings(
        run.once(
            "parts of the pool, in few words",
            lambda: tuple((p.number, p.skip) for p in parts_of(run, "pool")),
        ),
        {name: one.kind for name, one in run.instances().items()},
        tuple(encoder for encoder, kinds in wanted_vectors(run)["pool"].items() if "image" in kinds),
        {other: tuple(run.path(path) for path in paths(parts[other], under[other])) for other in used},
        tuple(run.plan.benchmarks),
        run.plan.reference is not None,
    )
    rows = sum(part.counted for part in parts_of(run, "pool"))
    return Work("split", name, identity, settings, run.place, together="pool", rows=rows)


def measures_of(run: RunContext, split: Split) -> list[str]:
    """Name the measures whose columns the rules of a split read, in the plan's order."""
    scope = _scope(run, "")
    read = {path[0].lower() for rule in split.rules for path in rule.resolved(scope).paths(scope)}
    return [name for name in run.instances() if name.lower() in read]


def _scope(run: RunContext, where: str, columns: Json | None = None) -> Scope:
    benchmarks, reference = tuple(run.plan.benchmarks), run.plan.reference is not None
    return Scope(benchmarks, reference, where, parse_predicate, columns)


def _samples(run: RunContext) -> dict[str, list[str]]:
    read = run.part_records("read", "pool")
    return {
        "rows": digests(read, layout.folder(layout.samples("pool", 0))),
        "lost": digests(read, layout.folder(layout.lost("pool", 0))),
        "duplicates": digests([run.record("catalog", "pool")], layout.duplicates("pool")),
        "set aside": digests(run.records("measure"), layout.all_set_aside("pool")),
    }


def _measured(run: RunContext, name: str) -> list[str]:
    one = run.instances()[name]
    return digests(run.part_records("measure", name), f"{layout.measure(one.kind, name)}/")


def _own_names(run: RunContext) -> set[str]:
    return {name.lower() for name in pool_columns(run)}


def starting(split: Split) -> Json | None:
    """Write what a split starts from as set algebra; None for the whole pool."""
    if isinstance(split.from_, SetAlgebra):
        return {split.from_.operation: list(split.from_.splits)}
    return None if split.from_ is None else {"union": [split.from_]}


def expect(run: RunContext, rates: Rates) -> Cost:
    """Every split reads its columns, and writes the rows that it keeps."""
    rows, splits = rows_of(run, "pool"), len(run.plan.splits)
    reads = rows * (TEXT_BYTES // 4 + SCORE_BYTES * len(run.instances()))
    return Cost(splits, reads, rows * TEXT_BYTES * splits, reads / rates.read_bytes)


def perform_many(works: Sequence[Work[Identity, Settings]], attempts: Sequence[Attempt]) -> Iterator[Json]:
    """Cut splits from one look at the pool; each may be committed before the next is cut."""
    by_name = {work.identity.name: into for work, into in zip(works, attempts, strict=True)}
    for _, facts in cut_many(_request(works), Path(works[0].place.out), by_name):
        yield facts


def _request(works: Sequence[Work[Identity, Settings]]) -> CutRequest:
    first, place = works[0], works[0].place
    splits = tuple(
        SplitRequest(
            work.identity.name,
            work.identity.rules,
            {each: tuple(names) for each, names in (work.identity.from_ or {}).items()} or None,
            work.settings.splits,
            {"unit": work.unit().fingerprint},
        )
        for work in works
    )
    lost = tuple(str(place.path(layout.lost("pool", number))) for number, _ in first.settings.parts)
    benchmarks, reference = first.settings.benchmarks, first.settings.reference
    parts = pool_parts(place, first.settings)
    return CutRequest(parts, splits, benchmarks, reference, lost, place.memory_limit, place.threads)


def pool_parts(place: Place, settings: Settings) -> tuple[PoolPart, ...]:
    """Locate the files of the pool's parts."""
    return tuple(
        PoolPart(
            str(place.path(layout.samples("pool", number))),
            skip,
            tuple(
                str(place.path(layout.set_aside("pool", lane(encoder, "image"), number)))
                for encoder in settings.aside
            ),
            {
                name: str(place.path(layout.measure(kind, name, number)))
                for name, kind in settings.measures.items()
            },
        )
        for number, skip in settings.parts
    )


def recheck_splits(run: RunContext, seed: int) -> list[str]:
    """Decide the splits of a finished run again by plain oracles; say what is wrong."""
    works = [_work(run, name, split) for name, split in run.plan.splits.items()]
    found = recheck(_request(works), run.out, seed=seed) if works else {}
    return [f"split {name}: {problem}" for name, one in found.items() for problem in one.problems]


def check_rules(run: RunContext) -> None:
    """Check every rule against the columns that there will be, before anything is read.

    Raises:
        PlanError: If a predicate names a column that is not there, or does what no predicate may.
    """
    measures = {name: measure_column(name, schema_of(one.measure)) for name, one in run.instances().items()}
    own = columns_of([pa.schema(list(run.columns("pool").items()))], measures, values_of(()))
    columns = {column.name: column.type for column in (*own, *measures.values())}
    for name, split in run.plan.splits.items():
        for position, rule in enumerate(split.rules):
            where = f"splits.{name}[{position}].{rules.dump(rule)[0]}"
            check(rule, _scope(run, where, columns))
