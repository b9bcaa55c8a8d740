"""Files of the further sets that splits add, for the stages that read them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from curation.selection import COUNTED, counted
from pipeline import layout
from pipeline.execution.context import RunContext, digests
from pipeline.further.read_of_sets import measures_read_of
from pipeline.measuring import Instance
from pipeline.passes.located import measured_sets, parts_of
from pipeline.plan import sets_in
from pipeline.splits.requests import OfferedSet, PoolPart
from pipeline.stages import offer
from pipeline.stages.assessing import assess


def held_sets(run: RunContext, split: str) -> tuple[str, ...]:
    """Name the further sets that a split has samples of, in the plan's order, and those that its rules count."""
    names = sets_in(run.plan.splits, split)
    held = tuple(name for name in run.plan.further_sets() if name in names)
    return (*held, *map(counted, run.plan.splits[split].counts_of()))


def located_set(run: RunContext, split: str, held: str) -> OfferedSet:
    """Locate the files of a further set, as `held_sets` names it."""
    name = held.removeprefix(COUNTED)
    parts = tuple(
        PoolPart(
            part.samples,
            part.skip,
            tuple(map(run.path, _without_vector(run, held, part.number))),
            {
                one.name: run.path(layout.measure(one.kind, one.name, part.number, name))
                for one in _read(run, split, name)
            },
        )
        for part in parts_of(run, name)
    )
    lost = tuple(run.path(layout.lost(name, part.number)) for part in parts_of(run, name))
    return OfferedSet(parts, lost, tuple(_measured(run, name)))


def together(sets: Iterable[Mapping[str, OfferedSet]]) -> dict[str, OfferedSet]:
    """Put the sets of several splits together: one that several read has the measures that any of them reads."""
    found: dict[str, OfferedSet] = {}
    for held in sets:
        for name, one in held.items():
            found[name] = found[name].with_measures(one) if name in found else one
    return found


def _measured(run: RunContext, name: str) -> dict[str, Instance]:
    return {one.name: one for level in measured_sets(run).get(name, ()) for one in level}


def _read(run: RunContext, split: str, name: str) -> list[Instance]:
    """List the measures of a further set that a split's rules read, in order."""
    known = _measured(run, name)
    named = {one for rule in run.plan.splits[split].rules for one in measures_read_of(rule, name, known)}
    return [one for each, one in known.items() if each in named]


def _without_vector(run: RunContext, name: str, number: int) -> list[str]:
    # What is counted need not be compared: that a split adds the set too changes nothing here.
    compared = run.plan.benchmarks and not name.startswith(COUNTED)
    return offer.without_vector(run, name, number) if compared else []


def files_of(located: OfferedSet) -> Iterator[str]:
    """List those files."""
    for part in located.parts:
        yield from (part.samples or "", *part.quarantined, *part.measures.values())
    yield from located.lost


def digests_of_set(run: RunContext, split: str, held: str) -> dict[str, list[str]]:
    """Say what is in them, for a unit's identity."""
    name = held.removeprefix(COUNTED)
    read = run.part_records("read", name)
    aside = [path for part in parts_of(run, name) for path in _without_vector(run, held, part.number)]
    return {
        "rows": digests(read, layout.folder(layout.samples(name, 0))),
        "lost": digests(read, layout.folder(layout.lost(name, 0))),
        "duplicates": digests([run.record("catalog", name)], layout.duplicates(name)),
        "set aside": [output.sha256 for output in run.outputs(aside)],
        "renamed": [each for each in _measured(run, name) if each in run.columns(name)],
    } | {
        f"measure {one.name}": digests(run.part_records("assess", assess.unit_name(one.name, name)))
        for one in _read(run, split, name)
    }
