"""Keep what is surely of some domains, or is of none, or a mix of domains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field

from curation.rule import Rule, Scope
from curation.rules._options import Count, Name, Seed
from curation.rules.by_domain._taken import MEASURE, check_domains, one_of, taken
from curation.selection import Selection
from curation.selections.drop import Drop
from curation.selections.shares.mixture import Mixture


@dataclass(frozen=True, slots=True)
class ByDomain(Rule):
    """Keep samples by the domain that they are taken as.

    Every sample with a vector is taken as exactly one domain, or is `ambiguous`; so splits `take: [natural]`,
    `take: [rendition]` and `take: [ambiguous]` share a pool out without rest.

    * `take: [natural]`: what is taken as one of these.
    * `mix: {natural: 3, rendition: 1}`: the largest set in exactly this ratio, drawn by hash of (uid, `seed`); with
      `keep: n`, of at most n samples.
    * `measure`: the measure's name in the plan, where it has one of its own.
    """

    take: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    mix: Annotated[dict[Name, Count], Field(min_length=2)] | None = None
    keep: Count | None = None
    measure: Name = MEASURE
    seed: Seed = 0
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"mix": {"photo": 3, "drawing": 1}, "keep": 40}

    def __post_init__(self) -> None:
        if (self.take is None) == (self.mix is None):
            raise ValueError("it does not say what stays; give one of: take, mix")
        if self.keep is not None and self.mix is None:
            raise ValueError("keep goes with mix; for so many of one domain, let the rule random follow")

    def reads_measures(self) -> tuple[str, ...]:
        """The measure."""
        return (self.measure,)

    def resolved(self, scope: Scope) -> Self:
        """Check the names of domains, once the labels are known."""
        check_domains(self.measure, self.take or self.mix or (), scope, scope.where)
        return self

    def selection(self, scope: Scope) -> Selection:
        """Drop the other domains, or mix."""
        column = taken(self.measure)
        if self.mix is not None:
            return Mixture(column, tuple(sorted(self.mix.items())), self.keep, self.seed, "the domains")
        names = self.take or ()
        said = f"what is not taken as {' or '.join(names)}"
        return Drop(f"NOT {one_of(self.measure, names)}", said, column)
