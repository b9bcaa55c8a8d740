"""Rules over the measured columns: each split, after those that it starts from.

Splits of one wave are cut from one look at the pool; each is fingerprinted by the columns that its own rules name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from curation import rules
from pipeline import layout
from pipeline.commit import Attempt, Output
from pipeline.execution.context import RunContext, digests, paths
from pipeline.execution.costs import SCORE_BYTES, TEXT_BYTES, Cost, Rates, rows_of
from pipeline.execution.work import Json, Place, Work
from pipeline.passes.located import parts_of, wanted_vectors
from pipeline.passes.looked_at import pool_columns
from pipeline.passes.part_pass import lane
from pipeline.passes.plan_rules import measures_of
from pipeline.plan import SetAlgebra, Split, sets_in
from pipeline.splits.again.recheck import Rechecked, recheck
from pipeline.splits.cutting import cut_many
from pipeline.splits.requests import CutRequest, OfferedSet, PoolPart, SplitRequest
from pipeline.stages import _offered_files as of_sets

AFTER = ("assess", "neighbours", "offer")


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
        sets: By name, digests of the further sets that it has samples of: rows, what no rule sees.
    """

    name: str
    rules: tuple[tuple[str, Json], ...]
    from_: Json | None
    samples: dict[str, list[str]]
    measures: dict[str, list[str]]
    renamed: tuple[str, ...]
    splits: dict[str, list[str]]
    sets: dict[str, dict[str, list[str]]]


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
        sets: Files of the further sets that it has samples of, by name, in the plan's order.
        holding: Of the splits that it is computed from, which further sets they have samples of.
    """

    parts: tuple[tuple[int, tuple[int, ...]], ...]
    measures: dict[str, str]
    aside: tuple[str, ...]
    splits: dict[str, tuple[str, ...]]
    benchmarks: tuple[str, ...]
    reference: bool
    sets: dict[str, OfferedSet]
    holding: dict[str, tuple[str, ...]]


def plan(run: RunContext) -> Iterator[list[Work[Identity, Settings]]]:
    """List the splits in waves: each comes after those it is computed from."""
    left = dict(run.plan.splits)
    while left:
        ready = [name for name, split in left.items() if not any(used in left for _, used in split.uses())]
        yield [_work(run, name, left.pop(name)) for name in ready]


def _work(run: RunContext, name: str, split: Split) -> Work[Identity, Settings]:
    named = measures_of(run, split)
    used = sorted({other for _, other in split.uses()})
    sets, taken = of_sets.held_sets(run, name), run.once("own names", lambda: _own_names(run))
    parts = {other: [run.record("split", other)] for other in used}
    under = {other: layout.split(other, "part-") for other in used}
    identity = Identity(
        name,
        tuple(rules.dump(rule) for rule in split.rules),
        starting(split),
        run.once("digests of the pool's rows", lambda: _samples(run)),
        {measure: _measured(run, measure) for measure in named},
        tuple(one for one in run.instances() if one.lower() in taken),
        {other: digests(parts[other], under[other]) for other in used},
        {each: of_sets.digests_of_set(run, name, each) for each in sets},
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
        {each: of_sets.located_set(run, name, each) for each in sets},
        {other: sets_in(run.plan.splits, other) for other in used},
    )
    rows = sum(part.counted for part in parts_of(run, "pool"))
    return Work(
        "split",
        name,
        identity,
        settings,
        run.place,
        committed=_committed(run, settings, named),
        together="pool",
        rows=rows,
    )


def _committed(run: RunContext, settings: Settings, named: Sequence[str]) -> tuple[Output, ...]:
    """Name the files that a split is cut from: of measures, those of the ones that its rules name."""
    numbers = [number for number, _ in settings.parts]

    def rows() -> tuple[Output, ...]:
        parts = pool_parts(run.place, settings, ())
        quarantined = [path for part in parts for path in part.quarantined]
        return run.outputs(
            [*(part.samples or "" for part in parts), *_lost(run.place, settings), *quarantined]
        )

    def measured(name: str) -> tuple[Output, ...]:
        kind = settings.measures[name]
        files = (layout.measure(kind, name, number) for number in numbers)
        return run.once(f"files of the measure {name}", lambda: run.outputs(files))

    found = run.once("files of the pool's rows", rows)
    for name in named:
        found += measured(name)
    found += run.outputs(path for files in settings.splits.values() for path in files)
    return found + run.outputs(path for one in settings.sets.values() for path in of_sets.files_of(one))


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
    return Cost(splits, reads, rows * TEXT_BYTES * splits, reads / rates.read_bytes, rows * splits)


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
            work.settings.holding,
        )
        for work in works
    )
    named = {name for work in works for name in work.identity.measures}
    return CutRequest(
        pool_parts(place, first.settings, named),
        splits,
        first.settings.benchmarks,
        first.settings.reference,
        _lost(place, first.settings),
        place.memory_limit,
        place.threads,
        tuple(first.settings.measures),
        of_sets.together(work.settings.sets for work in works),
    )


def _lost(place: Place, settings: Settings) -> tuple[str, ...]:
    return tuple(str(place.path(layout.lost("pool", number))) for number, _ in settings.parts)


def pool_parts(place: Place, settings: Settings, named: Collection[str]) -> tuple[PoolPart, ...]:
    """Locate the files of the pool's parts; of measures, those of the `named` ones."""
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
                if name in named
            },
        )
        for number, skip in settings.parts
    )


def recheck_splits(run: RunContext, rows: int | None, seed: int) -> dict[str, Rechecked]:
    """Decide the splits of a finished run again by plain oracles, on all samples or on a draw of about `rows`."""
    works = [_work(run, name, split) for name, split in run.plan.splits.items()]
    return recheck(_request(works), run.out, rows, seed) if works else {}
