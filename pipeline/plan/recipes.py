"""The splits of a plan: ordered rules, each on what the one before it kept, from the pool or other splits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NoReturn

import curation.rules as rules_package
from curation.rule import Rule, Scope
from indexes.errors import BadInputError, PlanError
from pipeline.documents.problems import closest, mark_named_in, place_text
from pipeline.documents.yaml_safe import Document, Place
from pipeline.plan.names import SPLIT_RESERVED, name_problem

Operation = Literal["union", "intersect", "minus"]
OPERATIONS: tuple[Operation, ...] = ("union", "intersect", "minus")


@dataclass(frozen=True, slots=True)
class SetAlgebra:
    """The samples of several splits combined; `minus` takes the others from the first."""

    operation: Operation
    splits: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Split:
    """What a plan says of one split.

    Attributes:
        rules: In the order in which they apply.
        from_: The split, or the combination of splits, that they start from; the whole pool if None.
    """

    rules: tuple[Rule, ...] = ()
    from_: str | SetAlgebra | None = None

    def uses(self) -> Iterator[tuple[Place, str]]:
        """List the splits that this one is computed from, each with its place inside the split."""
        if isinstance(self.from_, SetAlgebra):
            for position, name in enumerate(self.from_.splits):
                yield ("from", self.from_.operation, position), name
        elif self.from_ is not None:
            yield ("from",), self.from_
        for place, rule in self.placed_rules():
            for name in rule.follows():
                yield place, name

    def adds(self) -> Iterator[tuple[Place, str]]:
        """List the further sets that its own rules bring in, each with its place inside the split."""
        for place, rule in self.placed_rules():
            for name in rule.adds():
                yield place, name

    def counts_of(self) -> tuple[str, ...]:
        """Name the further sets that its own rules count and do not bring in."""
        return tuple(dict.fromkeys(name for _, rule in self.placed_rules() for name in rule.counts_of()))

    def starts(self) -> tuple[str, ...]:
        """Name the splits that it starts from."""
        if self.from_ is None:
            return ()
        return (self.from_,) if isinstance(self.from_, str) else self.from_.splits

    def placed_rules(self) -> Iterator[tuple[Place, Rule]]:
        """List each rule with its place inside the split."""
        inside: Place = () if self.from_ is None else ("rules",)
        for position, rule in enumerate(self.rules):
            yield (*inside, position, rules_package.dump(rule)[0]), rule

    def resolved(self, name: str, scope: Scope) -> Split:
        """Copy this split, called `name`, with each rule's defaults filled in.

        Raises:
            BadInputError: If a rule names what the plan does not have.
        """
        rules = (
            rule.resolved(replace(scope, where=place_text(("splits", name, *place))))
            for place, rule in self.placed_rules()
        )
        return replace(self, rules=tuple(rules))

    def as_written(self) -> Any:
        """Write the split as a plan file does."""
        rules = [dict([rules_package.dump(rule)]) for rule in self.rules]
        if self.from_ is None:
            return rules
        base = self.from_ if isinstance(self.from_, str) else {self.from_.operation: list(self.from_.splits)}
        return {"from": base, "rules": rules}


def sets_in(splits: Mapping[str, Split], name: str) -> tuple[str, ...]:
    """Name the further sets that a split holds samples of: by its own rules, or of what it starts from."""
    found, pending, seen = dict[str, None](), [name], set[str]()
    while pending:
        one = pending.pop()
        if one not in seen and one in splits:
            seen.add(one)
            found |= dict.fromkeys(added for _, added in splits[one].adds())
            pending += splits[one].starts()
    return tuple(sorted(found))


def parse_splits(raw: Any, document: Document) -> dict[str, Split]:
    """Build the splits of a plan from what its YAML says.

    Raises:
        PlanError: With the place of what is wrong.
    """
    if not isinstance(raw, Mapping):
        _refuse(document, ("splits",), f"got {raw!r}; write a map of names to lists of rules")
    return {name: _parse_split(name, value, document) for name, value in raw.items()}


def _parse_split(name: str, value: Any, document: Document) -> Split:
    place: Place = ("splits", name)
    problem = name_problem(name, SPLIT_RESERVED)
    if problem:
        _refuse(document, place, problem)
    if isinstance(value, list):
        return _with_rules(value, None, place, document)
    if not isinstance(value, Mapping):
        _refuse(document, place, f"got {value!r}; write a list of rules, or {{from: SPLIT, rules: [...]}}")
    for key in value:
        if key not in ("from", "rules"):
            is_rule = key in rules_package.names()
            advice = (
                "Write rules as a list, a dash before each" if is_rule else closest(key, ("from", "rules"))
            )
            _refuse(
                document,
                (*place, key),
                f"unknown key '{key}'; a split that is a map has: from, rules. {advice}",
            )
    if "from" not in value:
        _refuse(document, place, "the key 'from' is missing; add it, or write the split as a list of rules")
    from_ = _parse_from(value["from"], (*place, "from"), document)
    return _with_rules(value.get("rules", []), from_, (*place, "rules"), document)


def _parse_from(value: Any, place: Place, document: Document) -> str | SetAlgebra:
    if isinstance(value, str):
        return value
    form = "write the name of a split, or one of {union: [a, b]}, {intersect: [a, b]}, {minus: [a, b]}"
    if not isinstance(value, Mapping) or len(value) != 1:
        _refuse(document, place, f"got {value!r}; {form}")
    operation, splits = next(iter(value.items()))
    if operation not in OPERATIONS:
        _refuse(document, (*place, operation), f"unknown set operation '{operation}'; {form}")
    if not isinstance(splits, list) or len(splits) < 2 or not all(isinstance(name, str) for name in splits):
        _refuse(document, (*place, operation), f"got {splits!r}; write a list of two or more names of splits")
    return SetAlgebra(operation, tuple(splits))


def _with_rules(entries: Any, from_: str | SetAlgebra | None, place: Place, document: Document) -> Split:
    if not isinstance(entries, list):
        _refuse(document, place, f"got {entries!r}; write a list of rules, such as [{{near: {{to: all}}}}]")
    rules = (_parse_rule(entry, (*place, position), document) for position, entry in enumerate(entries))
    return Split(tuple(rules), from_)


def _parse_rule(entry: Any, place: Place, document: Document) -> Rule:
    if not isinstance(entry, Mapping) or len(entry) != 1:
        names = ", ".join(rules_package.names())
        form = "a rule is a map of its name to its options, such as {near: {to: all}}"
        _refuse(document, place, f"got {entry!r}; {form}; the rules there are: {names}")
    name, options = next(iter(entry.items()))
    try:
        return rules_package.parse(name, {} if options is None else options, where=place_text(place))
    except BadInputError as failure:
        advice = "" if name in rules_package.names() else closest(name, rules_package.names())
        raise PlanError(
            f"{mark_named_in(str(failure), (*place, name), document)}: {failure}. {advice}".rstrip(". ")
        ) from failure


def _refuse(document: Document, place: Place, why: str) -> NoReturn:
    raise PlanError(f"{document.mark(place)}: {place_text(place)}: {why}")
