"""Drop near-duplicates of earlier samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, ClassVar

from pydantic import Field

from curation.expressions import measured, number
from curation.rule import Rule, Scope
from curation.rules._options import Name
from curation.selection import Selection
from curation.selections.drop import Drop


@dataclass(frozen=True, slots=True)
class Dedup(Rule):
    """Drop a sample iff its similarity to an earlier one of its group is above 1 - ε, strictly.

    * `epsilon`: 0.124 by default, the level of LAION-400M's 200M deduplicated samples (brendel-group/clip-ood).
    * `by`: the measure that says which samples are earlier, `duplicates` by default. Its option `rule` is
      `clip_ood` or `semdedup`; a plan that cuts by both names two such measures.

    1 - ε is taken of the decimal number that the user wrote. A larger ε never drops fewer. NeMo Curator's rule drops
    at 1 - ε too.
    """

    epsilon: Annotated[float, Field(strict=True, gt=0, lt=1)] = 0.124
    by: Name = "duplicates"
    EXAMPLE: ClassVar[Mapping[str, Any]] = {"epsilon": 0.05}

    def reads_measures(self) -> tuple[str, ...]:
        """The measure of the order."""
        return (self.by,)

    def cuts(self) -> Mapping[tuple[str, str], float]:
        """What is nearer than 1 - ε."""
        return {(self.by, "similarity"): level_of(self.epsilon)}

    def selection(self, scope: Scope) -> Selection:
        """Cut at the level."""
        level = level_of(self.epsilon)
        found = measured(self.by, "similarity")
        return Drop(f"{found} > {number(level)}", f"what has an earlier near-duplicate above {level}", found)


def level_of(epsilon: float) -> float:
    """Return the similarity 1 - ε, of the decimal number that the user wrote."""
    return float(1 - Decimal(repr(epsilon)))
