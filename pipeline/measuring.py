"""Which measures a plan comes to: those that its rules, its report and its user ask for, and what these need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from curation import measures
from curation.measure import QUERIES, VECTORS, Measure
from curation.measures.similarity import Similarity
from indexes.errors import PlanError
from pipeline.plan import Plan

DEFAULT_ENCODER = "clip"
"""What the encoder is called where a plan names none: every set brings its embeddings."""


@dataclass(frozen=True, slots=True)
class Instance:
    """A measure of a plan.

    Attributes:
        kind: The file that it comes from.
        name: What rules call it; a benchmark's name for its similarity.
        measure: Its options.
        encoder: Whose embeddings it looks at.
    """

    kind: str
    name: str
    measure: Measure
    encoder: str

    def others(self) -> Iterator[str]:
        """Name the measures whose columns or tables it needs, as far as it may be one."""
        return (need.partition(":")[0] for need in self.measure.requires())

    def vectors(self, named: Iterable[str] = ()) -> tuple[str, ...]:
        """List the embeddings that it looks at; `named` are further arrays that the pool brings."""
        known = {*VECTORS, *named}
        return tuple(need for need in self.measure.requires() if need in known)

    @property
    def searches(self) -> bool:
        """Whether it looks at a benchmark's queries."""
        return QUERIES in self.measure.requires()

    @property
    def target(self) -> str | None:
        """The set whose vectors it takes whole, as a table."""
        return target_of(self.measure)


def target_of(measure: Measure) -> str | None:
    """Name the set whose vectors a measure takes whole; None where it takes none."""
    prefix = f"{QUERIES}:"
    return next((need[len(prefix) :] for need in measure.requires() if need.startswith(prefix)), None)


def default_encoder(plan: Plan) -> str:
    """Name the encoder of a set that names none."""
    return next(iter(plan.encoder_map()), DEFAULT_ENCODER)


def encoder_name(plan: Plan, name: str) -> str:
    """Name the encoder whose embeddings a set brings, or that embeds it."""
    sets = {"pool": plan.pool, "reference": plan.reference} | dict(plan.benchmarks) | dict(plan.sources)
    source = sets[name]
    return (source.encoder if source is not None else None) or default_encoder(plan)


def levels(plan: Plan) -> list[list[Instance]]:
    """List the measures of a plan in waves: each needs only those of the waves before it.

    Raises:
        PlanError: If measures need one another in a circle, or a rule needs one that has to be told its options.
    """
    return in_waves(_closure(plan))


def in_waves(closed: Iterable[Instance]) -> list[list[Instance]]:
    """Put measures in waves: each needs only those of the waves before it.

    Raises:
        PlanError: If they need one another in a circle.
    """
    left = {one.name: one for one in closed}
    found: list[list[Instance]] = []
    while left:
        ready = [one for one in left.values() if not any(other in left for other in one.others())]
        if not ready:
            raise PlanError(f"the measures {', '.join(sorted(left))} need one another in a circle")
        found.append(ready)
        for one in ready:
            del left[one.name]
    return found


def instances(plan: Plan) -> list[Instance]:
    """List the measures of a plan, each after those that it needs."""
    return [one for level in levels(plan) for one in level]


def _closure(plan: Plan) -> list[Instance]:
    found = {
        name: Instance("similarity", name, Similarity(name), encoder_name(plan, name))
        for name in plan.benchmarks
    }
    pending = [(name, f"measures.{name}") for name in plan.measures]
    pending += [(need, place) for need, place in _asked(plan) if need not in ("similarity", *plan.benchmarks)]
    return closed_over(plan, found, pending)


def closed_over(plan: Plan, found: dict[str, Instance], pending: list[tuple[str, str]]) -> list[Instance]:
    """Add to some measures those that are asked for, by name and place, and what these need."""
    while pending:
        name, place = pending.pop(0)
        if name in found:
            continue
        found[name] = one = instance_of(plan, name, place)
        pending += [(other, place) for other in one.others() if means_measure(plan, one, other)]
    return list(found.values())


def _asked(plan: Plan) -> Iterator[tuple[str, str]]:
    """Name the measures that rules need, declared or named in a predicate, each with the place."""
    for split, recipe in plan.splits.items():
        for position, rule in enumerate(recipe.rules):
            place = f"splits.{split}[{position}]"
            yield from ((need, place) for need in rule.needs)
            whole = rule.reads_whole()
            for column in rule.reads_measures():
                if is_measure(plan, column) and not (column in whole and has_to_be_told(plan, column)):
                    yield column, place


def has_to_be_told(plan: Plan, name: str) -> bool:
    """Say whether a measure is in no plan without options, and not in this one: then the pool's column is meant."""
    if name in plan.measures:
        return False
    try:
        measures.parse(name, None, f"measures.{name}")
    except PlanError:
        return True
    return False


def means_measure(plan: Plan, one: Instance, name: str) -> bool:
    """Say whether a measure that names `name` means a measure, and not the pool's column of that name."""
    whole = name in measures.dump(one.measure).values()
    return is_measure(plan, name) and not (whole and has_to_be_told(plan, name))


def is_measure(plan: Plan, name: str) -> bool:
    """Say whether a word is a measure's name, of the plan's or of those there are."""
    return name in plan.measures or name.replace("_", "-") in measures.names()


def instance_of(plan: Plan, name: str, place: str) -> Instance:
    """Make the measure of a name, with the options that the plan gives it.

    Raises:
        PlanError: If it has to be told its options, or looks at what is not there.
    """
    if name in plan.measures:
        measure = plan.measures[name]
        return Instance(measures.kind_of(measure), name, measure, _encoder_of(plan, measure, place))
    try:
        measure = measures.parse(name, None, f"measures.{name}")
    except PlanError as error:
        raise PlanError(
            f"{place} needs the measure {name}, which has to be told its options: {error}"
        ) from error
    return Instance(name.replace("-", "_"), name.replace("-", "_"), measure, default_encoder(plan))


def _encoder_of(plan: Plan, measure: Measure, place: str) -> str:
    """Name the encoder whose embeddings a measure looks at: that of its target, where it has one.

    Raises:
        PlanError: If a set that it looks at is not there, or they are of several encoders.
    """
    target = target_of(measure)
    looked_at = dict.fromkeys(measure.judges(), (f"{place}.benchmarks", tuple(plan.benchmarks)))
    if target is not None:
        option = next(key for key, value in measures.dump(measure).items() if value == target)
        looked_at[target] = (f"{place}.{option}", (*plan.benchmarks, *plan.further_sets()))
    found: dict[str, str] = {}
    for name, (where, known) in looked_at.items():
        if name not in known:
            raise PlanError(
                f"{where}: '{name}' is not in this plan; it has: {', '.join(known) or 'none'}. Name one of these, or "
                "add it under benchmarks"
            )
        found.setdefault(encoder_name(plan, name), name)
    if len(found) > 1:
        of = ", ".join(f"'{name}' by {encoder}" for encoder, name in found.items())
        raise PlanError(
            f"{place} looks at vectors of several encoders ({of}), and what is learned of one says nothing of another. "
            "Name benchmarks of one encoder there, and give the others a measure of their own"
        )
    return next(iter(found), default_encoder(plan))
