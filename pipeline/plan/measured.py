"""The measures of a plan: options of those that rules ask for, and further ones under names of the user's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from curation import measures
from curation.measure import QUERIES, Measure
from curation.plugin_options import plugin_class
from indexes import registry
from indexes.errors import BadInputError, PlanError
from pipeline.documents.problems import closest, mark_named_in, place_text
from pipeline.documents.yaml_safe import Document, Place
from pipeline.plan.names import BENCHMARK_RESERVED, name_problem

KIND = "measure"
"""Key that says which measure it is, where the name is another."""


def measures_of_plans() -> tuple[str, ...]:
    """List the measures that a plan may name: all but those that every benchmark has by itself."""
    return tuple(name for name in measures.names() if not _searches(name))


def parse_measures(raw: Any, document: Document) -> dict[str, Measure]:
    """Build the measures of a plan from what its YAML says.

    Args:
        raw: What stands under `measures`; None where nothing does.
        document: The plan file, for messages.

    Returns:
        The measures by name, each under its own name as its columns have it: `clip_score`, also for `clip-score`.

    Raises:
        PlanError: With the place of what is wrong.
    """
    if raw is None:
        return {}
    if not isinstance(raw, Mapping):
        _refuse(document, ("measures",), f"got {raw!r}; write a map of measures to their options")
    found: dict[str, Measure] = {}
    for written, value in raw.items():
        name = _column_name(written) if written in measures.names() else written
        if name in found:
            _refuse(document, ("measures", written), f"'{name}' is here twice, in two spellings; keep one")
        found[name] = _parse(written, value, document)
    return found


def measure_as_written(name: str, measure: Measure) -> dict[str, Any]:
    """Write a measure as a plan file does."""
    kind = measures.kind_of(measure)
    return ({} if kind == name else {KIND: kind}) | measures.dump(measure)


def _parse(name: str, value: Any, document: Document) -> Measure:
    place: Place = ("measures", name)
    problem = name_problem(name, BENCHMARK_RESERVED)
    if problem:
        _refuse(document, place, problem)
    options = {} if value is None else value
    if not isinstance(options, Mapping):
        _refuse(document, place, f"got {value!r}; write a map of options, or nothing")
    kind = _kind(name, options, document)
    given = {key: option for key, option in options.items() if key != KIND}
    try:
        return measures.parse(kind, given, place_text(place))
    except BadInputError as failure:
        raise PlanError(f"{mark_named_in(str(failure), place, document)}: {failure}") from failure


def _kind(name: str, options: Mapping[str, Any], document: Document) -> str:
    """Find which measure an entry is: by its key `measure`, or by its name."""
    named = KIND in options
    place: Place = ("measures", name, KIND) if named else ("measures", name)
    kind, available = options.get(KIND, name), ", ".join(measures_of_plans())
    if not isinstance(kind, str):
        _refuse(document, place, f"got {kind!r}; name one of: {available}")
    if kind.replace("_", "-") not in measures.names():
        own = "" if named else f" If '{name}' is a name of your own, say under `{KIND}` which one it is."
        advice = closest(kind, measures_of_plans())
        _refuse(document, place, f"unknown measure '{kind}'; available: {available}.{own} {advice}".rstrip())
    if _searches(kind):
        _refuse(
            document,
            place,
            f"'{kind}' is measured for each benchmark by itself, and called as the benchmark is. Leave it out, or "
            "add the set that you mean under benchmarks",
        )
    own_name = _column_name(name.lower())
    if own_name != _column_name(kind) and own_name.replace("_", "-") in measures.names():
        _refuse(
            document,
            ("measures", name),
            f"'{name}' is the name of another measure than {kind}; choose another",
        )
    return kind


def _searches(name: str) -> bool:
    kind = plugin_class(registry.load(measures, "measure", name), Measure)  # type: ignore[type-abstract]
    return QUERIES in kind.needs


def _column_name(name: str) -> str:
    """A measure goes by the name of its columns, which has underscores, however a plan spells it."""
    return name.replace("-", "_")


def _refuse(document: Document, place: Place, problem: str) -> NoReturn:
    raise PlanError(f"{document.mark(place)}: {place_text(place)}: {problem}")
