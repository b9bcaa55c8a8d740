"""What must hold between the parts of a plan: names that exist, thresholds to be had, no circle of splits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import indexes.backends
import pipeline.readers
from curation.selection import Rule, Scope
from indexes import registry
from indexes.errors import BadInputError, PlanError
from pipeline.plan.model import Plan
from pipeline.plan.problems import closest, mark_named_in, place_text
from pipeline.plan.recipes import Split
from pipeline.plan.yaml_safe import Document, Place


def check(plan: Plan, document: Document | None = None) -> None:
    """Check what the parts of `plan` say of one another.

    Args:
        plan: The plan.
        document: Where the plan was written, for messages; None for a plan built in code.

    Raises:
        PlanError: With the first thing that is wrong.
    """
    for place, problem in _problems(plan):
        mark = f"{document.mark(place)}: " if document else ""
        raise PlanError(f"{mark}{place_text(place)}: {problem}")
    for name, split in plan.splits.items():
        for place, rule in split.placed_rules():
            _check_rule(plan, ("splits", name, *place), rule, document)


def rule_scope(plan: Plan) -> Scope:
    """Give what the rules of `plan` can see of it before the pool is looked at."""
    return Scope(benchmarks=tuple(plan.benchmarks), reference=plan.reference is not None)


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
    for name, split in plan.splits.items():
        yield from _unknown_splits(plan, name, split)
    cycle = _visit(plan.splits, [])
    if cycle:
        yield ("splits", cycle[0]), _cycle_sentence(cycle)


def _unknown_plugins(plan: Plan) -> Iterator[tuple[Place, str]]:
    readers = registry.names(pipeline.readers)
    for text, source in plan.sources().items():
        place: Place = (*text.split("."), "format")
        if source.format is not None and source.format.replace("_", "-") not in readers:
            yield place, _unknown("reader", source.format, readers)
    backends = registry.names(indexes.backends)
    if plan.engine.backend.replace("_", "-") not in backends:
        yield ("engine", "backend"), _unknown("index backend", plan.engine.backend, backends)


def _unknown(kind: str, got: str, names: Iterable[str]) -> str:
    available = ", ".join(sorted(names)) or "none"
    return f"unknown {kind} '{got}'; available: {available}. {closest(got, names)}".rstrip()


def _unknown_splits(plan: Plan, name: str, split: Split) -> Iterator[tuple[Place, str]]:
    for place, used in split.uses():
        if used not in plan.splits:
            others = sorted(set(plan.splits) - {name})
            has = ", ".join(others) or "no other"
            advice = closest(used, others) or "Name one of these, or add it"
            yield ("splits", name, *place), f"split '{used}' is not in this plan; it has: {has}. {advice}"


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
