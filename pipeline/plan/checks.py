"""What must hold between the parts of a plan: names that exist, thresholds to be had, no circle of splits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import indexes.backends
import pipeline.readers
from curation import measures
from curation.rule import Rule, Scope
from indexes import registry
from indexes.errors import BadInputError, PlanError
from indexes.search import backend_options
from pipeline.documents.problems import closest, mark_named_in, place_text, placed
from pipeline.documents.yaml_safe import Document, Place
from pipeline.plan.model import Plan
from pipeline.plan.names import same_but_for_case
from pipeline.plan.reader_keys import key_problems
from pipeline.plan.recipes import Split, sets_in


def check(plan: Plan, document: Document | None = None) -> None:
    """Check what the parts of `plan` say of one another.

    Args:
        plan: The plan.
        document: Where the plan was written, for messages; None for a plan built in code.

    Raises:
        PlanError: With the first thing that is wrong.
    """
    for place, problem in _problems(plan):
        raise PlanError(placed(place, problem, document))
    for name, split in plan.splits.items():
        for place, rule in split.placed_rules():
            _check_rule(plan, ("splits", name, *place), rule, document)


def rule_scope(plan: Plan) -> Scope:
    """Say what the rules of `plan` can see of it before the pool is looked at."""
    sets = dict.fromkeys(plan.further_sets())
    return Scope(benchmarks=tuple(plan.benchmarks), reference=plan.reference is not None, sets=sets)


def _check_rule(plan: Plan, place: Place, rule: Rule, document: Document | None) -> None:
    try:
        rule.resolved(replace(rule_scope(plan), where=place_text(place)))
    except BadInputError as failure:
        mark = f"{mark_named_in(str(failure), place, document)}: " if document else ""
        raise PlanError(f"{mark}{failure}") from failure


def split_order(splits: dict[str, Split]) -> tuple[str, ...]:
    """Order the splits so that each comes after those it is computed from, otherwise as the plan has them.

    Raises:
        PlanError: If splits are computed from one another in a circle, which the message prints.
    """
    order: list[str] = []
    cycle = _visit(splits, order)
    if cycle:
        raise PlanError(f"splits.{cycle[0]}: {_cycle_sentence(cycle)}")
    return tuple(order)


def _problems(plan: Plan) -> Iterator[tuple[Place, str]]:
    yield from _unknown_plugins(plan)
    yield from _names_that_clash(plan)
    yield from _encoder_problems(plan)
    yield from _unknown_within(plan)
    yield from _unknown_spectra(plan)
    for name, split in plan.splits.items():
        yield from _unknown_splits(plan, name, split)
    for name in plan.export:
        if name not in plan.splits:
            yield ("export", name), _unknown_split(name, list(plan.splits))
    cycle = _visit(plan.splits, [])
    if cycle:
        yield ("splits", cycle[0]), _cycle_sentence(cycle)
        return
    for name, split in plan.splits.items():
        yield from _added_twice(plan, name, split)


def _added_twice(plan: Plan, name: str, split: Split) -> Iterator[tuple[Place, str]]:
    adds = list(split.adds())
    # What a split starts from may reach far back; only one that adds something has to know.
    held = {added: start for start in split.starts() if adds for added in sets_in(plan.splits, start)}
    for place, added in adds:
        if added in held:
            whence = (
                "by a rule before"
                if not held[added]
                else f"from '{held[added]}', which the split starts from"
            )
            yield (
                ("splits", name, *place),
                f"'{added}' is in it already, {whence}; take one of the two out, or put their rules together",
            )
        held[added] = ""


def _unknown_within(plan: Plan) -> Iterator[tuple[Place, str]]:
    known = [*plan.benchmarks, *(["reference"] if plan.reference is not None and plan.benchmarks else [])]
    for name in plan.audit.within or ():
        if name not in known:
            yield ("audit", "within"), _unknown("set to look within", name, known)


def _unknown_spectra(plan: Plan) -> Iterator[tuple[Place, str]]:
    for name in plan.audit.spectra or ():
        if name not in plan.splits:
            yield ("audit", "spectra"), _unknown("split", name, list(plan.splits))


def _unknown_plugins(plan: Plan) -> Iterator[tuple[Place, str]]:
    readers = registry.names(pipeline.readers)
    for text, source in plan.sources_by_place().items():
        place: Place = tuple(text.split(".", 1))  # a name may hold dots itself
        if source.format is not None and source.format.replace("_", "-") not in readers:
            yield (*place, "format"), _unknown("reader", source.format, readers)
        yield from key_problems(place, source.model_dump(exclude_none=True))
    backends = registry.names(indexes.backends)
    if plan.engine.backend.replace("_", "-") not in backends:
        yield ("engine", "backend"), _unknown("index backend", plan.engine.backend, backends)
        return
    try:
        backend_options(plan.engine.backend, plan.engine.options)
    except BadInputError as failure:
        yield ("engine", "options"), str(failure)


def _names_that_clash(plan: Plan) -> Iterator[tuple[Place, str]]:
    """Benchmarks, sources and measures are columns and folders side by side; so are splits."""
    owners = dict.fromkeys(plan.benchmarks, "benchmarks")
    for kind, named in (("sources", plan.sources), ("measures", plan.measures)):
        for name in named:
            if name in owners:
                yield (kind, name), f"'{name}' is also the name of one of the {owners[name]}; choose another"
            owners.setdefault(name, kind)
    for name in plan.benchmarks:
        if name.lower().replace("_", "-") in measures.names():
            yield (
                ("benchmarks", name),
                f"'{name}' is the name of a measure, so its columns could not be told apart",
            )
    for place, names in (("benchmarks", owners), ("splits", plan.splits), ("encoders", plan.encoders)):
        pair = same_but_for_case(names)
        if pair:
            yield (
                (owners[pair[1]] if names is owners else place, pair[1]),
                f"'{pair[0]}' and '{pair[1]}' differ in case alone; rename one",
            )


def _encoder_problems(plan: Plan) -> Iterator[tuple[Place, str]]:
    if plan.encoder is not None and plan.encoders:
        yield ("encoder",), "encoder and encoders are both given; name all of them under encoders"
    names = plan.encoder_map()
    for text, source in plan.sources_by_place().items():
        if source.encoder is not None and names and source.encoder not in names:
            yield (*text.split(".", 1), "encoder"), _unknown("encoder", source.encoder, names)


def _unknown(kind: str, got: str, names: Iterable[str]) -> str:
    available = ", ".join(sorted(names)) or "none"
    return f"unknown {kind} '{got}'; available: {available}. {closest(got, names)}".rstrip()


def _unknown_splits(plan: Plan, name: str, split: Split) -> Iterator[tuple[Place, str]]:
    for place, used in split.uses():
        if used not in plan.splits:
            yield ("splits", name, *place), _unknown_split(used, sorted(set(plan.splits) - {name}))


def _unknown_split(used: str, others: list[str]) -> str:
    has = ", ".join(others) or "no other"
    advice = closest(used, others) or "Name one of these, or add it"
    return f"split '{used}' is not in this plan; it has: {has}. {advice}"


def _visit(splits: dict[str, Split], order: list[str]) -> list[str]:
    """Append the names in `splits` to `order`, dependencies first; give the first cycle, or an empty list.

    The walk keeps its own stack, for a plan may chain more splits than Python nests calls.
    """
    done: set[str] = set()
    for start in splits:
        path: dict[str, Iterator[str]] = {}  # a dict for its order and its quick look-up
        following: str | None = None if start in done else start
        while path or following is not None:
            if following is not None and following not in done:
                path[following] = _dependencies(splits, following)
            elif following is None:
                order.append(path.popitem()[0])
                done.add(order[-1])
            following = next(path[next(reversed(path))], None) if path else None
            if following in path:
                return [*list(path)[list(path).index(following) :], following]
    return []


def _dependencies(splits: dict[str, Split], name: str) -> Iterator[str]:
    return (used for _, used in splits[name].uses() if used in splits)


def _cycle_sentence(cycle: list[str]) -> str:
    chain = " -> ".join(cycle)
    return f"the splits are computed from one another in a circle: {chain}; take a 'from' or 'like' out of it"
