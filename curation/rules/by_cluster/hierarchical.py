"""Balanced sampling from clusters of clusters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field

from curation.rule import Amount, Rule, Scope, expression
from curation.rules._options import Count, Fraction, Name, Seed, exactly_one
from curation.selection import Selection
from curation.selections.shares.hierarchy import Hierarchy


@dataclass(frozen=True, slots=True)
class Hierarchical(Rule):
    """Keep an even share of each cluster, level by level (Vo et al. 2024, ssl-data-curation).

    * `by`: columns or expressions, outermost first: `[clusters.level_2, clusters.cluster]`; one alone will do.
    * `fraction: f` or `keep: n`: how many stay in all, exactly.
    * `closest`: a column or expression; within an innermost cluster the highest stay: `clusters.similarity`. Without
      it they are drawn by hash of (uid, seed).
    """

    fraction: Fraction | None = None
    keep: Count | None = None
    by: Annotated[tuple[Name, ...], Field(min_length=1)] = ("clusters.cluster",)
    closest: Name | None = None
    seed: Seed = 0
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"by": ["width"], "fraction": 0.5}

    def __post_init__(self) -> None:
        exactly_one(fraction=self.fraction, keep=self.keep)

    def texts(self) -> tuple[str, ...]:
        """What it groups and orders by."""
        return self.by if self.closest is None else (*self.by, self.closest)

    def resolved(self, scope: Scope) -> Self:
        """Check each expression, where the parser is at hand."""
        closest = None if self.closest is None else expression(self.closest, scope)
        return replace(self, by=tuple(expression(each, scope) for each in self.by), closest=closest)

    def selection(self, scope: Scope) -> Selection:
        """Share among the groups."""
        key = None if self.closest is None else f"nullif(({self.closest})::DOUBLE, 'nan'::DOUBLE)"
        return Hierarchy(self.by, Amount(self.keep, self.fraction), key, self.seed)
