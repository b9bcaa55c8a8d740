"""What rules read of the measure `domain`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from curation.expressions import either, quoted, text
from curation.predicates import path_type
from curation.rule import Scope
from indexes.errors import PlanError

MEASURE = "domain"
AMBIGUOUS = "ambiguous"


def taken(measure: str) -> str:
    """Return the SQL of the domain that a sample is taken as."""
    return f"{quoted(measure)}.{quoted('taken')}"


def one_of(measure: str, domains: Sequence[str]) -> str:
    """Return the SQL of being taken as one of several domains."""
    return either([f"{taken(measure)} = {text(name)}" for name in domains])


def check_domains(measure: str, named: Iterable[str], scope: Scope, place: str) -> None:
    """Refuse a domain that no label says, once the measure's columns are known; `ambiguous` is always one.

    Raises:
        PlanError: With the domains that there are.
    """
    if scope.columns is None:
        return
    kind = path_type((measure, "probability"), scope.columns)
    there = () if kind is None else tuple(kind.field(place).name for place in range(kind.num_fields))
    for name in named:
        if name not in (*there, AMBIGUOUS):
            raise PlanError(
                f"{place} names the domain '{name}', which no label of the measure {measure} says; there are: "
                f"{', '.join(dict.fromkeys((*there, AMBIGUOUS)))}. Name one of these"
            )


def one_value(column: str, scope: Scope, place: str) -> None:
    """Refuse a column of lists, once the pool is known: what is in several classes is in one that is held back, or not.

    Raises:
        PlanError: With the place in the plan.
    """
    kind = None if scope.columns is None else path_type(tuple(column.split(".")), scope.columns)
    if hasattr(kind, "value_type"):
        raise PlanError(
            f"{place} is the column '{column}', which holds {kind}; name a column of one class a sample"
        )
