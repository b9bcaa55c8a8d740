"""Files of the further sets that splits add, for the stages that read them."""

from __future__ import annotations

from collections.abc import Iterator

from curation.selection import COUNTED, counted
from pipeline import layout
from pipeline.execution.context import RunContext, digests
from pipeline.passes.located import parts_of
from pipeline.plan import sets_in
from pipeline.splits.requests import OfferedSet, PoolPart
from pipeline.stages import offer


def held_sets(run: RunContext, split: str) -> tuple[str, ...]:
    """Name the further sets that a split has samples of, in the plan's order, and those that its rules count."""
    names = sets_in(run.plan.splits, split)
    held = tuple(name for name in run.plan.further_sets() if name in names)
    return (*held, *map(counted, run.plan.splits[split].counts_of()))


def located_set(run: RunContext, held: str) -> OfferedSet:
    """Locate the files of a further set, as `held_sets` names it."""
    name = held.removeprefix(COUNTED)
    parts = tuple(
        PoolPart(part.samples, part.skip, tuple(map(run.path, _without_vector(run, held, part.number))))
        for part in parts_of(run, name)
    )
    return OfferedSet(parts, tuple(run.path(layout.lost(name, part.number)) for part in parts_of(run, name)))


def _without_vector(run: RunContext, name: str, number: int) -> list[str]:
    # What is counted need not be compared: that a split adds the set too changes nothing here.
    compared = run.plan.benchmarks and not name.startswith(COUNTED)
    return offer.without_vector(run, name, number) if compared else []


def files_of_set(run: RunContext, name: str) -> Iterator[str]:
    """List those files."""
    for part in located_set(run, name).parts:
        yield from (part.samples or "", *part.quarantined)
    yield from located_set(run, name).lost


def digests_of_set(run: RunContext, held: str) -> dict[str, list[str]]:
    """Say what is in them, for a unit's identity."""
    name = held.removeprefix(COUNTED)
    read = run.part_records("read", name)
    aside = [path for part in parts_of(run, name) for path in _without_vector(run, held, part.number)]
    return {
        "rows": digests(read, layout.folder(layout.samples(name, 0))),
        "lost": digests(read, layout.folder(layout.lost(name, 0))),
        "duplicates": digests([run.record("catalog", name)], layout.duplicates(name)),
        "set aside": [output.sha256 for output in run.outputs(aside)],
    }
