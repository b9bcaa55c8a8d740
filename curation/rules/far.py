"""Far-pruning: keep what is near to a benchmark, drop the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

from curation.expressions import maximum, measured, number
from curation.rule import Amount, Rule, Scope, expand
from curation.rules._options import Benchmarks, Count, Fraction, Threshold, exactly_one
from curation.selection import Selection
from curation.selections.best_rank import BestRank
from curation.selections.drop import Drop
from curation.selections.quota import Quota
from curation.selections.rank import Rank
from indexes.errors import PlanError


@dataclass(frozen=True, slots=True)
class Far(Rule):
    """Keep the samples nearest to the named benchmarks (Mayilvahanan et al. 2024, the 100M core).

    * `threshold: t`: keep x iff its similarity to a named benchmark is > t, strictly; `near` with the same
      threshold drops exactly these. `threshold: per_query` keeps what the default `near` drops.
    * `keep: n` or `fraction: f`: keep the nearest n. `combine` says what nearest means over several
      benchmarks: `max`, the highest similarity to any of them; `quota`, each benchmark in plan order takes
      its share of its own nearest among the samples not yet taken; `rank`, the best rank that a sample has
      with any benchmark.
    """

    to: Benchmarks = "all"
    keep: Count | None = None
    fraction: Fraction | None = None
    threshold: Threshold | Literal["per_query"] | None = None
    combine: Literal["max", "quota", "rank"] = "max"
    needs: ClassVar[tuple[str, ...]] = ("similarity",)
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"keep": 3}

    def __post_init__(self) -> None:
        exactly_one(keep=self.keep, fraction=self.fraction, threshold=self.threshold)
        if self.threshold is not None and self.combine != "max":
            raise ValueError(f"combine: {self.combine} takes keep or fraction, not a threshold")

    def resolved(self, scope: Scope) -> Self:
        """Expand `to`; a threshold per query takes a reference."""
        if self.threshold == "per_query" and not scope.reference:
            raise PlanError(
                f"{scope.where}.threshold is per_query, but this plan has no reference to calibrate it. "
                "Add a reference, or give a threshold between -1 and 1, keep, or fraction"
            )
        return replace(self, to=expand(self.to, scope))

    def selection(self, scope: Scope) -> Selection:
        """Keep above a threshold, or the nearest by the chosen combination."""
        names = ", ".join(self.to)
        if self.threshold == "per_query":
            margin = maximum(self.to, "margin")
            return Drop(f"NOT ({margin} > 0)", f"what has no margin above 0 to any of {names}", margin)
        similarity = maximum(self.to, "similarity")
        if self.threshold is not None:
            said = f"what has no similarity above {self.threshold} to any of {names}"
            return Drop(f"NOT ({similarity} > {number(float(self.threshold))})", said, similarity)
        amount = Amount(self.keep, self.fraction)
        if self.combine == "max":
            return Rank(similarity, amount, highest=True, said=f"similarity to any of {names}")
        keys, said = tuple(measured(name, "similarity") for name in self.to), f"the similarities to {names}"
        return Quota(keys, amount, said) if self.combine == "quota" else BestRank(keys, amount, said)
