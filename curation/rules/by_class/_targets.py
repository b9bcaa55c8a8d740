"""How many samples of each class, where a file or a further set says it, and texts that say which class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256

from curation.classes import class_list, digest_of
from curation.classes.by_name._called import one_place, plain_name
from curation.classes.by_name._wanted_counts import counts_digest, wanted_counts
from curation.plugin_options import pinned
from curation.rule import Scope, expression
from curation.selections.shares._one_list import Places
from indexes.errors import PlanError

LABEL = "label"
"""The column of a further set that says the class of a sample, where a plan names none."""


def sight_of(name: str, scope: Scope, option: str) -> Scope:
    """Say what an option sees of a further set: its columns.

    Raises:
        PlanError: If there is no such set.
    """
    if name not in scope.sets:
        raise PlanError(
            f"{scope.where}.{option} is {name!r}, which is no further set of this plan; it has: "
            f"{', '.join(scope.sets) or 'none'}. Name one of these, or add it under sources"
        )
    return replace(scope, columns=scope.sets[name])


def column_of(name: str, column: str, scope: Scope, option: str, place: str) -> str:
    """Check an expression over a further set's columns, and write it as the parser reads it.

    Args:
        name: The set.
        column: The expression.
        scope: What the rule sees.
        option: The option that names the set.
        place: The option that is the expression.

    Raises:
        PlanError: If there is no such set, or it has no such column.
    """
    return expression(column, replace(sight_of(name, scope, option), where=f"{scope.where}.{place}"))


def files_digest(names: str | None, counts: object, held: str | None, where: str) -> str | None:
    """Hash the class list and the file of counts, whichever there are; None without one.

    Raises:
        PlanError: If one cannot be read, or they are not what the plan holds them to.
    """
    read = [] if names is None else [digest_of(names, f"{where}.names")]
    read += [counts_digest(counts, f"{where}.counts")] if isinstance(counts, str) else []
    if not read:
        return None
    digest = read[0] if len(read) == 1 else sha256("".join(read).encode()).hexdigest()
    told = " and ".join(str(each) for each in (names, counts) if isinstance(each, str))
    return pinned(held, digest, f"{where}: {told}", where)


def places_in(names: str | None, where: str) -> Places:
    """List the texts that say one class of a list, each with its position; none without a list.

    Raises:
        PlanError: If it cannot be read.
    """
    if names is None:
        return ()
    digest = digest_of(names, f"{where}.names")
    class_list(names, digest, f"{where}.names")
    return tuple(one_place(names, digest).items())


def histogram(counts: Mapping[str, int] | str, names: str | None, where: str) -> dict[str, int]:
    """Return how many samples of each class are wanted, by the class's position where there is a list.

    Raises:
        PlanError: If a class is not in the list, stands twice, or none is to keep anything.
    """
    found = wanted_counts(counts, f"{where}.counts") if isinstance(counts, str) else dict(counts)
    if not any(found.values()):
        raise PlanError(
            f"{where}.counts asks for 0 samples of every class, which keeps nothing; ask for 1 or more of one"
        )
    known = dict(places_in(names, where))
    if names is None:
        return found
    placed: dict[str, int] = {}
    said: dict[str, str] = {}
    for name, number in found.items():
        place = known.get(name, known.get(plain_name(name)))
        if place is None:
            raise PlanError(
                f"{where}.counts has the class {name!r}, which says no class of {names}, or several; write its id "
                "or its position"
            )
        if place in said:
            raise PlanError(
                f"{where}.counts has one class of {names} twice, as {said[place]!r} and as {name!r}; give each class "
                "one number"
            )
        said[place], placed[place] = name, number
    return placed
