"""The same number of samples of each class as another set has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from curation.rule import Rule, Scope, expression
from curation.rules._classes import SINGLE
from curation.rules._options import Name, Seed
from curation.rules.by_class._targets import LABEL, column_of, files_digest, places_in
from curation.selection import Selection
from curation.selections.shares._one_list import SetClasses
from curation.selections.shares.filled import Filled
from curation.selections.shares.matched import Matched


@dataclass(frozen=True, slots=True)
class MatchFrequency(Rule):
    """Make each class as frequent as in another set, so that nothing but frequency is taken out of a comparison.

    The study (arXiv 2405.21070, `create_laionet_match_freq.py`) draws from LAIONet what ImageNet-Captions has of each
    class; `keep: pool` does the same, and `class-balance: {like: …, fill: …}` fills what lacks. Draws are by hash of
    uid and seed, so they are nested.

    * `to`: the set: `reference`, or one of the plan's sources.
    * `by`: the column of the pool's classes; by default the one class that a caption names.
    * `of`: the set's own column, by default its label.
    * `names: imagenet-1k`: a class is the same by id, by position and by a name that no other class has.
    * `keep`: `both` brings the set in and cuts each side to the smaller number of both, so that they have the same of
      each class; `pool` keeps as many samples of the pool as the set has, and counts what lacks.
    * `strict: true`, with `keep: pool`: too few samples are an error.
    """

    to: Name
    by: Name = SINGLE
    of: Name = LABEL
    names: Name | None = None
    digest: Name | None = None
    keep: Literal["both", "pool"] = "both"
    strict: Annotated[bool, Field(strict=True)] = False
    seed: Seed = 0
    shorthand: ClassVar[str | None] = "to"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"to": "reference", "by": "caption"}

    def __post_init__(self) -> None:
        if self.strict and self.keep == "both":
            raise ValueError("strict goes with keep: pool; what both have the fewer of is never short")

    def adds(self) -> tuple[str, ...]:
        """The set, where it stays too."""
        return (self.to,) if self.keep == "both" else ()

    def counts_of(self) -> tuple[str, ...]:
        """The set, where it is counted alone."""
        return () if self.keep == "both" else (self.to,)

    def texts(self) -> tuple[str, ...]:
        """The pool's classes."""
        return (self.by,)

    def texts_of_sets(self) -> tuple[tuple[str, str], ...]:
        """The set's classes."""
        return ((self.to, self.of),)

    def resolved(self, scope: Scope) -> Self:
        """Check the columns, where the parser is at hand, the set and the class list.

        Raises:
            PlanError: If there is no such set or column, or the class list is not what it was.
        """
        places_in(self.names, scope.where)
        return replace(
            self,
            by=expression(self.by, scope),
            of=column_of(self.to, self.of, scope, "to", "of"),
            digest=files_digest(self.names, None, self.digest, scope.where),
        )

    def selection(self, scope: Scope) -> Selection:
        """Draw from both, or from the pool by the set's counts."""
        places, side = places_in(self.names, scope.where), SetClasses(self.to, self.of)
        if self.keep == "both":
            return Matched(self.by, side, places, self.seed)
        return Filled(self.by, like=side, places=places, seed=self.seed, strict=self.strict)
