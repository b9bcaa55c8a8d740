"""Which measures of further sets rules read: by the expressions that they have over such a set."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from curation import measures
from curation.grouped import Grouped
from curation.measures.told._told import ToldMeasure
from curation.rule import Rule
from curation.sql_words import fielded_words, words_of
from indexes.errors import PlanError
from pipeline.measuring import (
    Instance,
    closed_over,
    has_to_be_told,
    in_waves,
    instance_of,
    is_measure,
    means_measure,
)
from pipeline.plan import Plan


def of_sets(plan: Plan) -> dict[str, list[list[Instance]]]:
    """List the measures that rules read of further sets, and what these need, by set and in waves as `levels` does.

    Raises:
        PlanError: If one of them is of the pool alone.
    """
    found = {}
    for name, asked in _asked_of_sets(plan).items():
        told = {measure: _told(plan, name, measure, place) for measure, place in asked.items()}
        for measure, one in told.items():  # before what it needs is looked for
            _refuse_of_pool(one, name, asked[measure])
        needed = [
            (n, asked[one.name]) for one in told.values() for n in one.others() if means_measure(plan, one, n)
        ]
        closed = closed_over(plan, dict(told), needed)
        for one in closed:
            _refuse_of_pool(one, name, asked.get(one.name, f"sources.{name}"))
        found[name] = in_waves(closed)
    return found


def _told(plan: Plan, name: str, measure: str, place: str) -> Instance:
    """Make a measure of a further set, with the options that rules say of it there.

    Raises:
        PlanError: If rules say different ones, or they cannot be.
    """
    one = instance_of(plan, measure, place)
    said = [
        rule.options_of_sets().get((name, measure)) for split in plan.splits.values() for rule in split.rules
    ]
    ways = [way for n, way in enumerate(said) if way is not None and way not in said[:n]]
    if len(ways) > 1:
        raise PlanError(
            f"{place} reads the measure {measure} of {name} with {ways[1]}, and another rule with "
            f"{ways[0]}; give one of them a `nearest` of its own"
        )
    if not ways:
        return one
    options = {**measures.dump(one.measure), **ways[0], "digest": None}
    measured = measures.parse(one.kind, options, f"measures.{measure}")
    return replace(one, measure=measured)


def measures_read_of(rule: Rule, name: str, known: Collection[str]) -> tuple[str, ...]:
    """Name those of some measures that a rule reads of a further set."""
    words = {word for of, text in rule.texts_of_sets() if of == name for word in words_of(text)}
    return tuple(one for one in known if one in words)


def _asked_of_sets(plan: Plan) -> dict[str, dict[str, str]]:
    """Name the measures that rules read of each further set, each with the place."""
    found: dict[str, dict[str, str]] = {}
    for split, recipe in plan.splits.items():
        for position, rule in enumerate(recipe.rules):
            for name, text in rule.texts_of_sets():
                whole = set(words_of(text)) - set(fielded_words(text))
                for word in words_of(text):
                    if is_measure(plan, word) and not (word in whole and has_to_be_told(plan, word)):
                        found.setdefault(name, {}).setdefault(word, f"splits.{split}[{position}]")
    return found


def _refuse_of_pool(one: Instance, name: str, place: str) -> None:
    of = one.measure
    learns = of.sample_rows() or of.taught or of.summarises()
    if isinstance(of, Grouped | ToldMeasure) or one.searches or one.target or of.judges() or learns:
        raise PlanError(
            f"{place} reads the measure {one.name} of {name}; measures of groups, of benchmarks and of tables, and "
            "those that learn, are of the pool alone. Read a column of that set, or write the rule behind the add"
        )
