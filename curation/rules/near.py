"""Near-pruning: drop what is nearer to a benchmark than it should be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

from curation.expressions import maximum, number
from curation.rule import Amount, Rule, Scope, expand
from curation.rules._options import Benchmarks, Count, Fraction, Threshold, at_most_one
from curation.selection import Selection
from curation.selections.drop import Drop
from curation.selections.rank import Rank
from indexes.errors import PlanError


@dataclass(frozen=True, slots=True)
class Near(Rule):
    """Drop samples that lie too near to a benchmark.

    * `threshold: per_query` (the default): drop x iff for some query of a named benchmark sim(x, query) is
      higher, strictly, than any sample of the reference comes to that query: margin > 0
      (Mayilvahanan et al. 2024, sec. 3).
    * `threshold: t`: drop x iff its similarity to a named benchmark is > t, strictly. `far` with the same
      threshold keeps exactly these, so that the two splits divide the pool.
    * `keep: n` or `fraction: f`: keep the n samples whose maximum similarity over the named benchmarks is
      lowest.
    """

    to: Benchmarks = "all"
    threshold: Threshold | Literal["per_query"] | None = None
    keep: Count | None = None
    fraction: Fraction | None = None
    needs: ClassVar[tuple[str, ...]] = ("similarity",)
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"to": ["photo"]}

    def __post_init__(self) -> None:
        at_most_one(threshold=self.threshold, keep=self.keep, fraction=self.fraction)

    def resolved(self, scope: Scope) -> Self:
        """Expand `to`; without any other word the threshold is per query, which takes a reference."""
        ranked = self.keep is not None or self.fraction is not None
        threshold = self.threshold if ranked or self.threshold is not None else "per_query"
        if threshold == "per_query" and not scope.reference:
            raise PlanError(
                f"{scope.where}.threshold is per_query, but this plan has no reference to calibrate it. "
                "Add a reference, or give a threshold between -1 and 1, keep, or fraction"
            )
        return replace(self, to=expand(self.to, scope), threshold=threshold)

    def selection(self, scope: Scope) -> Selection:
        """Drop by margin or by maximum similarity, or keep the least similar."""
        names, similarity = ", ".join(self.to), maximum(self.to, "similarity")
        if self.threshold is None:
            said = f"similarity to any of {names}"
            return Rank(similarity, Amount(self.keep, self.fraction), highest=False, said=said)
        if self.threshold == "per_query":
            margin = maximum(self.to, "margin")
            return Drop(f"{margin} > 0", f"what has a margin above 0 to any of {names}", margin)
        said = f"what has a similarity above {self.threshold} to any of {names}"
        return Drop(f"{similarity} > {number(float(self.threshold))}", said, similarity)
