"""Training sets that hold a domain back, wholly or for some classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from curation.expressions import number, text
from curation.rule import Rule, Scope, expression
from curation.rules._options import ClassValue, Fraction, Name, Seed, at_most_one
from curation.rules.by_domain._taken import AMBIGUOUS, MEASURE, check_domains, one_of, one_value, taken
from curation.selection import Selection
from curation.selections.drop import Drop

Domains = Annotated[tuple[Name, ...], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class DomainHoldout(Rule):
    """Hold a domain back, to test on it what a model has not seen (the four setups of Kempf et al. 2025).

    * `setup: natural-only`: only `natural` domains stay.
    * `setup: leave-out`: all domains stay but `out`.
    * `setup: low-diversity`: `natural` domains stay, and of `out` the classes that are not held back.
    * `setup: high-diversity`: all domains stay, and of `out` the classes that are not held back.

    What is ambiguous goes, for it may be of the domain that is held back. The classes are those of `by`, a column of
    one class; those held back are `classes`, or a `fraction` of all, drawn by hash of (class, `seed`), so that a larger
    fraction holds back more classes and none less. Of `out`, a sample without a class goes.
    """

    setup: Literal["natural-only", "leave-out", "low-diversity", "high-diversity"]
    natural: Domains | None = None
    out: Name | None = None
    by: Name = "classes.single"
    classes: Annotated[tuple[ClassValue, ...], Field(min_length=1)] | None = None
    fraction: Fraction | None = None
    measure: Name = MEASURE
    seed: Seed = 0
    EXAMPLE: ClassVar[Mapping[str, Any]] = {
        "setup": "low-diversity",
        "natural": ["photo"],
        "out": "sketch",
        "fraction": 0.5,
    }

    def __post_init__(self) -> None:
        needs = {"natural": self._keeps_natural(), "out": self.setup != "natural-only"}
        for name, needed in needs.items():
            if needed != (getattr(self, name) is not None):
                raise ValueError(f"setup: {self.setup} {'needs' if needed else 'does not take'} {name}")
        at_most_one(classes=self.classes, fraction=self.fraction)
        if self._by_class() != (self.classes is not None or self.fraction is not None):
            wanted = "needs one of: classes, fraction" if self._by_class() else "holds back no classes"
            raise ValueError(f"setup: {self.setup} {wanted}")
        if self.natural is not None and self.out in self.natural:
            raise ValueError(f"'{self.out}' is both natural and held back")

    def _keeps_natural(self) -> bool:
        return self.setup in ("natural-only", "low-diversity")

    def _by_class(self) -> bool:
        return self.setup in ("low-diversity", "high-diversity")

    def texts(self) -> tuple[str, ...]:
        """The column of classes, where classes are held back."""
        return (self.by,) if self._by_class() else ()

    def reads_measures(self) -> tuple[str, ...]:
        """The measure, and that of the classes."""
        return (self.measure, *super(DomainHoldout, self).reads_measures())

    def resolved(self, scope: Scope) -> Self:
        """Check the domains and the column."""
        named = (*(self.natural or ()), *([self.out] if self.out is not None else []))
        check_domains(self.measure, named, scope, scope.where)
        if not self._by_class():
            return self
        one_value(self.by, scope, f"{scope.where}.by")
        return replace(self, by=expression(self.by, scope))

    def selection(self, scope: Scope) -> Selection:
        """Drop by domain and class."""
        column, out = taken(self.measure), self.out or ""
        apart = f"{column} <> {text(AMBIGUOUS)} AND {column} <> {text(out)}"
        base = one_of(self.measure, self.natural or ()) if self._keeps_natural() else f"({apart})"
        stays = base
        if self._by_class():
            seen = f"coalesce(NOT {self._held_back()}, false)"
            stays = f"({base} OR ({column} = {text(out)} AND {seen}))"
        said = {
            "natural-only": "what is not of the natural domains",
            "leave-out": f"what is, or may be, {out}",
            "low-diversity": f"all but the natural domains and seen classes of {out}",
            "high-diversity": f"what is ambiguous, and the classes of {out} that are held back",
        }
        return Drop(f"NOT {stays}", said[self.setup], column)

    def _held_back(self) -> str:
        value = f"({self.by})::VARCHAR"
        if self.classes is not None:
            return f"{value} IN ({', '.join(text(str(one)) for one in self.classes)})"
        share = number(float((self.fraction or 0.0) * 2.0**64))
        return f"(md5_number_lower({value} || ':{self.seed:d}')::DOUBLE < {share})"
