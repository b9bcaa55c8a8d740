"""Keep the clusters that a target's images take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from curation.expressions import quoted
from curation.predicates import path_type
from curation.rule import Rule, Scope
from curation.rules._options import Count, Name
from curation.selection import Selection
from curation.selections.drop import Drop
from indexes.errors import PlanError


@dataclass(frozen=True, slots=True)
class ImageBased(Rule):
    """Keep the samples of each cluster that some image of the target takes (DataComp `baselines/apply_filter.py`).

    The target is an option of the measure `clusters`: `clusters: {k: 100000, spherical: false, assign: product,
    target: imagenet_train}` is DataComp's. Its own test of captions is a rule beside this one.

    * `least`: images of the target that a cluster needs; DataComp's 1.
    * `measure`: the measure's name in the plan, where it has one of its own.
    """

    least: Count = 1
    measure: Name = "clusters"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {}

    def reads_measures(self) -> tuple[str, ...]:
        """The measure."""
        return (self.measure,)

    def resolved(self, scope: Scope) -> Self:
        """The clusters must know a target, once the pool is known."""
        if scope.columns is not None and path_type((self.measure, "target"), scope.columns) is None:
            raise PlanError(
                f"{scope.where} reads how many images of a target take each cluster, and the measure {self.measure} "
                f"has none. Name a benchmark under measures.{self.measure}.target"
            )
        return self

    def selection(self, scope: Scope) -> Selection:
        """Drop what is in another cluster."""
        taken = f"{quoted(self.measure)}.{quoted('target')}"
        return Drop(
            f"NOT ({taken} >= {self.least})",
            f"what is in a cluster that fewer than {self.least} target images take",
            taken,
        )
