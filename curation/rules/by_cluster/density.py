"""Density-based pruning: dense clusters give most, and lose what is nearest to their centroids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import Field

from curation.expressions import measured, quoted
from curation.rule import Amount, Rule, Scope
from curation.rules._options import Count, Fraction, exactly_one
from curation.selection import Selection
from curation.selections.shares.allotment import Allotment


@dataclass(frozen=True, slots=True)
class ByDensity(Rule):
    """Keep of each cluster as many as density-based pruning allots, those farthest from its centroid (Abbas 2024).

    * `fraction: f` or `keep: n`: how many stay in all, exactly.
    * `temperature`: τ of the softmax over d_inter · d_intra; 0.1 in the paper, 0.5 in its code.
    * `balance`: each cluster keeps at least this part of an equal share, as far as it has it; 0 for one sample.

    The measures are of the whole pool; the numbers that clusters have are counted among the samples that reach the
    rule.
    """

    fraction: Fraction | None = None
    keep: Count | None = None
    temperature: Annotated[float, Field(strict=True, gt=0)] = 0.1
    balance: Annotated[float, Field(strict=True, ge=0, le=1)] = 0.5
    needs: ClassVar[tuple[str, ...]] = ("clusters", "density")
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"fraction": 0.5}

    def __post_init__(self) -> None:
        exactly_one(fraction=self.fraction, keep=self.keep)

    def selection(self, scope: Scope) -> Selection:
        """Allot by d_inter · d_intra; the least similar to the centroid come first."""
        return Allotment(
            f"{quoted('clusters')}.{quoted('cluster')}",
            (measured("density", "d_inter"), measured("density", "d_intra")),
            measured("clusters", "similarity"),
            Amount(self.keep, self.fraction),
            self.temperature,
            self.balance,
            "the clusters",
        )
